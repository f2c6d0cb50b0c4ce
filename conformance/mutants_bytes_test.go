package conformance_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var bytesMutants = []mutant{
	{name: "values are made valid UTF-8", kills: []string{"ValuesAreBytes"}, target: rewriting(nil, valid, nil)},
	{name: "names are made valid UTF-8", kills: []string{"NamesAreBytes"}, target: rewriting(valid, nil, nil)},
	{name: "values end at a NUL", kills: []string{"ValuesAreBytes"}, target: rewriting(nil, beforeNUL, nil)},
	{name: "names end at a NUL", kills: []string{"NamesAreBytes"}, target: rewriting(beforeNUL, nil, nil)},
	{name: "names are compared without case", kills: []string{"NamesAreBytes"}, target: rewriting(strings.ToLower, nil, nil)},
	{name: "line ends are made one", kills: []string{"ValuesAreBytes"}, target: rewriting(nil, unixLines, nil)},
	{name: "values are trimmed", kills: []string{"ValuesAreBytes"}, target: rewriting(nil, strings.TrimSpace, nil)},
	{name: "values are cut at 64 KiB less one", kills: []string{"LargeValues"}, target: rewriting(nil, cut(64<<10-1), nil)},
	{name: "names are cut at 255", kills: []string{"LargeValues"}, target: rewriting(cut(255), nil, nil)},
	{name: "IDs are compared without case", kills: []string{"IDsAreBytes"}, target: rewriting(nil, nil, strings.ToLower)},
	{name: "IDs end at a colon", kills: []string{"IDsAreBytes"}, target: rewriting(nil, nil, beforeColon)},
	{name: "dots of IDs are cleaned like a path's", kills: []string{"IDsAreBytes"}, target: rewriting(nil, nil, trimDots)},
	{name: "IDs are cut at 63", kills: []string{"IDsFromOneTo64Characters"}, target: rewriting(nil, nil, cut(63))},
	{
		name:  "empty values are dropped",
		kills: []string{"EmptyValues", "IfEmptyValue"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			maps.DeleteFunc(rec.Fields, func(_, v string) bool { return v == "" })
			return rec, err
		}),
	},
	{
		name:  "no more than 255 fields are kept",
		kills: []string{"ManyFields"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			rec = copyOf(rec)
			for name := range rec.Fields {
				if len(rec.Fields) > 255 {
					delete(rec.Fields, name)
				}
			}
			return c.Create(ctx, id, rec)
		}),
	},
	{
		name:  "Apply fails on more than 8000 names",
		kills: []string{"ManyFields"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if len(p.If)+len(p.Has)+len(p.Set)+len(p.Delete)+len(p.Add) > 8000 {
				return none, errors.New("too many results to unpack")
			}
			return c.Apply(ctx, id, p)
		}),
	},
	{
		name:   "names to delete past 8000 are dropped",
		kills:  []string{"ManyFields"},
		target: patching(func(p *backend.Patch) { p.Delete = p.Delete[:min(8000, len(p.Delete))] }),
	},
	{
		name:   "conditions past 8000 are not looked at",
		kills:  []string{"ManyFields"},
		target: patching(func(p *backend.Patch) { p.Has = p.Has[:min(8000, len(p.Has))] }),
	},
	{
		name:  "values past 8000 are not compared",
		kills: []string{"ManyFields"},
		target: patching(func(p *backend.Patch) {
			for _, name := range slices.Sorted(maps.Keys(p.If))[min(8000, len(p.If)):] {
				delete(p.If, name)
			}
		}),
	},
	{
		name:  "fields to set past 8000 are dropped",
		kills: []string{"ManyFields"},
		target: patching(func(p *backend.Patch) {
			for _, name := range slices.Sorted(maps.Keys(p.Set))[min(8000, len(p.Set)):] {
				delete(p.Set, name)
			}
		}),
	},
}

func valid(s string) string     { return strings.ToValidUTF8(s, "\uFFFD") }
func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
func trimDots(s string) string  { return strings.TrimRight(s, ".") }

func beforeNUL(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func beforeColon(s string) string {
	s, _, _ = strings.Cut(s, ":")
	return s
}

func cut(n int) func(string) string {
	return func(s string) string { return s[:min(n, len(s))] }
}

// rewriting makes a target that keeps names, values and IDs in another form. Each may be nil.
func rewriting(name, value, id func(string) string) func(*complete) conformance.Target {
	do := func(f func(string) string, s string) string {
		if f == nil {
			return s
		}
		return f(s)
	}
	fields := func(m map[string]string) map[string]string {
		out := make(map[string]string, len(m))
		for n, v := range m {
			out[do(name, n)] = do(value, v)
		}
		return out
	}
	return alter(func(c *complete) altered {
		return altered{
			create: func(ctx context.Context, i string, rec backend.Record) error {
				rec.Fields = fields(rec.Fields)
				return c.Create(ctx, do(id, i), rec)
			},
			load: func(ctx context.Context, i string) (backend.Record, error) { return c.Load(ctx, do(id, i)) },
			apply: func(ctx context.Context, i string, p backend.Patch) (backend.Record, error) {
				p = copyOfPatch(p)
				p.If, p.Set = fields(p.If), fields(p.Set)
				for k := range p.Has {
					p.Has[k] = do(name, p.Has[k])
				}
				for k := range p.Delete {
					p.Delete[k] = do(name, p.Delete[k])
				}
				return c.Apply(ctx, do(id, i), p)
			},
			del: func(ctx context.Context, i string) error { return c.Delete(ctx, do(id, i)) },
		}
	})
}
