package conformance_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	{
		name:   "names are the same but for spaces at their end",
		kills:  []string{"NamesSideBySide"},
		target: foldingTogether,
	},
	{name: "a name that is a number is kept as one", kills: []string{"NamesSideBySide"}, target: rewriting(number, nil, nil)},
	{name: "ID and name are one key, with a colon between", kills: []string{"IDsAndNames"}, target: joining(":")},
	{name: "ID and name are one key, with nothing between", kills: []string{"IDsAndNames"}, target: joining("")},
	{
		name:  "setting a field takes away those below its path",
		kills: []string{"NamesAreNoPaths"},
		target: applied(func(_ *complete, p backend.Patch, e *entry) {
			for name := range p.Set {
				if !isWide(p) { // it would take its time
					maps.DeleteFunc(e.Fields, func(n, _ string) bool { return strings.HasPrefix(n, name+".") })
				}
			}
		}),
	},
	{
		name:  "Remove deletes what is below its ID too",
		kills: []string{"RemoveLeavesNeighbours"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if err == nil && p.Remove {
				c.mu.Lock()
				defer c.mu.Unlock()
				maps.DeleteFunc(c.records, func(other string, _ entry) bool { return strings.HasPrefix(other, id+":") })
			}
			return rec, err
		}),
	},
}

// joining returns a target that keeps each value under its record's ID and its name, joined by sep.
func joining(sep string) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		var mu sync.Mutex
		values := map[string]string{}
		store := func(id string) {
			c.edit(id, func(e *entry) {
				for name, v := range e.Fields {
					values[id+sep+name] = v
				}
			})
		}
		apply := func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			c.edit(id, func(e *entry) {
				for name := range e.Fields {
					e.Fields[name] = values[id+sep+name]
				}
			})
			rec, err := c.Apply(ctx, id, p)
			store(id)
			return rec, err
		}
		return alter(func(*complete) altered {
			return altered{
				apply: apply,
				load: func(ctx context.Context, id string) (backend.Record, error) {
					return apply(ctx, id, backend.Patch{Load: true})
				},
				create: func(ctx context.Context, id string, rec backend.Record) error {
					mu.Lock()
					defer mu.Unlock()
					err := c.Create(ctx, id, rec)
					if err == nil {
						store(id)
					}
					return err
				},
			}
		})(c)
	}
}

// wideMutants are at fault where there is much.
var wideMutants = []mutant{
	{
		name:  "Apply replies 8000 fields at most",
		kills: []string{"ManyFieldsReply"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if p.Load {
				for _, name := range slices.Sorted(maps.Keys(rec.Fields))[min(8000, len(rec.Fields)):] {
					delete(rec.Fields, name)
				}
			}
			return rec, err
		}),
	},
	{
		name:  "with Load, conditions past 4000 are not looked at",
		kills: []string{"ManyFieldsReply"},
		target: patching(func(p *backend.Patch) {
			if p.Load && len(p.If)+len(p.Has) > 4000 {
				p.If, p.Has = nil, nil
			}
		}),
	},
	{
		name:  "Apply replies 60 KiB of a value at most",
		kills: []string{"ManyFieldsReply"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			for name, v := range rec.Fields {
				rec.Fields[name] = cut(60 << 10)(v)
			}
			return rec, err
		}),
	},
	{
		name:  "a reply lacks what was set, where that is more than 4000 fields",
		kills: []string{"ManyFieldsReply"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			rec, err := c.Apply(ctx, id, p)
			if len(p.Set) > 4000 {
				maps.DeleteFunc(rec.Fields, func(name, _ string) bool { _, ok := p.Set[name]; return ok })
			}
			return rec, err
		}),
	},
	{
		name:  "ErrExists of a Create with more than 4000 fields comes after a write",
		kills: []string{"ManyFieldsReply"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			err := c.Create(ctx, id, rec)
			if errors.Is(err, backend.ErrExists) && len(rec.Fields) > 4000 {
				c.edit(id, func(e *entry) { maps.Copy(e.Fields, rec.Fields) })
			}
			return err
		}),
	},
}

// foldingTogether makes a target where a field takes the place of one whose name is the same but for spaces at its end.
func foldingTogether(c *complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		rec, _ := c.Load(ctx, id)
		stored := func(name string) string {
			if _, ok := rec.Fields[name]; ok {
				return name
			}
			for other := range rec.Fields {
				if strings.TrimRight(other, " ") == strings.TrimRight(name, " ") {
					return other
				}
			}
			return name
		}
		renamed := func(m map[string]string) map[string]string {
			other := map[string]string{}
			for name, v := range m {
				other[stored(name)] = v
			}
			return other
		}
		p = copyOfPatch(p)
		p.If, p.Set = renamed(p.If), renamed(p.Set)
		for _, names := range [][]string{p.Has, p.Delete} {
			for i := range names {
				names[i] = stored(names[i])
			}
		}
		return c.Apply(ctx, id, p)
	})(c)
}

func valid(s string) string     { return strings.ToValidUTF8(s, "\uFFFD") }
func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
func trimDots(s string) string  { return strings.TrimRight(s, ".") }

func number(s string) string {
	if n, err := strconvInt(s); err == nil {
		return strconv.FormatInt(n, 10)
	}
	return s
}

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
