package conformance

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// How steps are written: short, on one line, whatever bytes there are.

const (
	maxText = 48 // bytes of a name or value that are shown
	maxList = 6  // fields that are shown
)

func showText(s string) string {
	if len(s) > maxText {
		return fmt.Sprintf("%q… (%d bytes)", s[:maxText], len(s))
	}
	return strconv.Quote(s)
}

func showID(id string) string { return strconv.Quote(id) }

func showFields(m fields) string {
	return showMap(m, showText)
}

func showMap[V any](m map[string]V, show func(V) string) string {
	parts := make([]string, 0, maxList+1)
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i == maxList {
			parts = append(parts, fmt.Sprintf("… %d in all", len(m)))
			break
		}
		parts = append(parts, showText(name)+": "+show(m[name]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func showNames(names []string) string {
	parts := make([]string, 0, maxList+1)
	for i, name := range names {
		if i == maxList {
			parts = append(parts, fmt.Sprintf("… %d in all", len(names)))
			break
		}
		parts = append(parts, showText(name))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func showRecord(rec backend.Record) string {
	if rec.TTL == 0 {
		return showFields(rec.Fields)
	}
	return fmt.Sprintf("%s for %v", showFields(rec.Fields), rec.TTL)
}

func showPatch(p backend.Patch) string {
	var parts []string
	part := func(there bool, name, value string) {
		if there {
			parts = append(parts, name+value)
		}
	}
	part(len(p.If) > 0, "If: ", showFields(p.If))
	part(len(p.Has) > 0, "Has: ", showNames(p.Has))
	part(len(p.Set) > 0, "Set: ", showFields(p.Set))
	part(len(p.Delete) > 0, "Delete: ", showNames(p.Delete))
	part(len(p.Add) > 0, "Add: ", showMap(p.Add, func(n int64) string { return strconv.FormatInt(n, 10) }))
	part(p.TTL != 0, "TTL: ", p.TTL.String())
	part(p.Touch, "Touch", "")
	part(p.Load, "Load", "")
	part(p.Remove, "Remove", "")
	part(p.Durable, "Durable", "")
	return "{" + strings.Join(parts, ", ") + "}"
}

func callCreate(id string, rec backend.Record) string {
	return "Create(" + showID(id) + ", " + showRecord(rec) + ")"
}

func callLoad(id string) string { return "Load(" + showID(id) + ")" }

func callApply(id string, p backend.Patch) string {
	return "Apply(" + showID(id) + ", " + showPatch(p) + ")"
}

func callDelete(id string) string { return "Delete(" + showID(id) + ")" }

func showError(err error) string {
	for _, s := range []struct {
		err  error
		name string
	}{
		{nil, "ok"},
		{backend.ErrNotFound, "ErrNotFound"},
		{backend.ErrExists, "ErrExists"},
		{backend.ErrConflict, "ErrConflict"},
		{backend.ErrCounter, "ErrCounter"},
		{backend.ErrUnreadable, "ErrUnreadable"},
		{backend.ErrNotReplicated, "ErrNotReplicated"},
		{session.ErrTooManySessions, "ErrTooManySessions"},
	} {
		if errors.Is(err, s.err) {
			return s.name
		}
	}
	return fmt.Sprintf("error %q", err)
}

func showResult(rec backend.Record, err error) string {
	if err != nil {
		return showError(err)
	}
	return showRecord(rec)
}
