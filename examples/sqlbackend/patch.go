package sqlbackend

import (
	"maps"
	"strconv"

	"github.com/faeeb396/session/backend"
)

// patch changes rec, a live record, as p says. If it fails, with ErrConflict or ErrCounter, rec is of no use.
func patch(rec *backend.Record, p backend.Patch) error {
	for name, want := range p.If {
		if rec.Fields[name] != want {
			return backend.ErrConflict
		}
	}
	for _, name := range p.Has {
		if _, ok := rec.Fields[name]; !ok {
			return backend.ErrConflict
		}
	}

	maps.Copy(rec.Fields, p.Set)
	for _, name := range p.Delete {
		delete(rec.Fields, name)
	}
	for name, delta := range p.Add {
		sum, err := add(rec.Fields, name, delta)
		if err != nil {
			return err
		}
		rec.Fields[name] = sum
	}
	if p.TTL > 0 {
		rec.TTL = p.TTL
	}
	return nil
}

// add returns the counter of the name given plus delta.
func add(fields map[string]string, name string, delta int64) (string, error) {
	value, ok := fields[name]
	if !ok {
		value = "0"
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != value || !inRange(n) || !inRange(delta) || !inRange(n+delta) {
		return "", backend.ErrCounter
	}
	return strconv.FormatInt(n+delta, 10), nil
}

func inRange(n int64) bool { return -backend.MaxCounter <= n && n <= backend.MaxCounter }

// reply is what an Apply of p returns when it has made rec of the record.
func reply(rec backend.Record, p backend.Patch) backend.Record {
	if p.Load {
		return rec
	}
	counters := make(map[string]string, len(p.Add))
	for name := range p.Add {
		counters[name] = rec.Fields[name]
	}
	return backend.Record{Fields: counters}
}

// writesFields reports whether p changes fields, not only the time to live.
func writesFields(p backend.Patch) bool { return len(p.Set)+len(p.Delete)+len(p.Add) > 0 }
