package conformance_test

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

var raceRecordMutants = []mutant{
	{
		name:  "Touch reads the TTL, then sets the deadline",
		kills: []string{"RaceTouchKeepsTTL"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if !p.Touch || p.TTL > 0 {
				return c.Apply(ctx, id, p)
			}
			old, err := c.Load(ctx, id)
			if err != nil {
				return none, err
			}
			p.Touch = false
			rec, err := c.Apply(ctx, id, p)
			if err == nil {
				pause()
				c.edit(id, func(e *entry) { e.deadline = c.now().Add(old.TTL) })
			}
			return rec, err
		}),
	},
	{
		name:  "Apply writes fields, then the TTL",
		kills: []string{"RaceTTLWhole"},
		target: applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
			if p.TTL == 0 || p.Load || len(p.Set)+len(p.Add)+len(p.Delete) == 0 {
				return c.Apply(ctx, id, p)
			}
			ttl := p.TTL
			p.TTL = 0
			rec, err := c.Apply(ctx, id, p)
			if err == nil {
				pause()
				_, err = c.Apply(ctx, id, backend.Patch{TTL: ttl})
			}
			return rec, err
		}),
	},
	{
		name:  "Load reads the TTL in a second step",
		kills: []string{"RaceTTLWhole"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if err == nil {
				pause()
				c.edit(id, func(e *entry) { rec.TTL = e.TTL })
			}
			return rec, err
		}),
	},
	{
		name:  "Load reads the fields in a second step",
		kills: []string{"RaceRecreate"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			rec, err := c.Load(ctx, id)
			if err == nil {
				pause()
				rec.Fields = nil // a row for each, of which there may be none
				c.edit(id, func(e *entry) { rec.Fields = maps.Clone(e.Fields) })
			}
			return rec, err
		}),
	},
	{
		name:  "Delete takes the fields away, then the record",
		kills: []string{"RaceRecreate"},
		target: alter(func(c *complete) altered {
			return altered{del: func(ctx context.Context, id string) error {
				if ctx.Err() == nil && c.edit(id, func(e *entry) { e.Fields = map[string]string{} }) {
					pause()
				}
				return c.Delete(ctx, id)
			}}
		}),
	},
	{
		name:   "a record's versions begin again when it is created anew",
		kills:  []string{"RaceRecreate"},
		target: comparingVersions,
	},
	{
		name:  "Create sees that the record is dead, then replaces it",
		kills: []string{"RaceCreateAfterExpiry"},
		target: creating(func(c *complete, ctx context.Context, id string, rec backend.Record) error {
			dead := false
			c.dead(id, func(*entry) { dead = true })
			if !dead || ctx.Err() != nil {
				return c.Create(ctx, id, rec)
			}
			pause()
			c.put(id, rec)
			return nil
		}),
	},
	{
		name:  "Load deletes what it has found dead",
		kills: []string{"RaceCreateAfterExpiry"},
		target: loading(func(c *complete, ctx context.Context, id string) (backend.Record, error) {
			dead := false
			c.dead(id, func(*entry) { dead = true })
			rec, err := c.Load(ctx, id)
			if dead && errors.Is(err, backend.ErrNotFound) {
				pause()
				_ = c.Delete(ctx, id)
			}
			return rec, err
		}),
	},
}

// comparingVersions makes a target whose Apply works on a copy, and writes that back if the record has the version that
// the copy has. It counts versions from 1 in each record that is created.
func comparingVersions(c *complete) conformance.Target {
	var mu sync.Mutex
	versions := map[string]int{}
	b := altered{Backend: c}
	b.create = func(ctx context.Context, id string, rec backend.Record) error {
		mu.Lock()
		defer mu.Unlock()
		err := c.Create(ctx, id, rec)
		if err == nil {
			versions[id] = 1
		}
		return err
	}
	read := func(id string) (*complete, int) {
		mu.Lock()
		defer mu.Unlock()
		work := newComplete()
		c.edit(id, func(e *entry) { work.records[id] = entry{copyOf(e.Record), e.deadline} })
		return work, versions[id]
	}
	write := func(id string, work *complete, version int) bool {
		mu.Lock()
		defer mu.Unlock()
		if versions[id] != version || !c.edit(id, func(e *entry) { *e = work.records[id] }) {
			return false
		}
		versions[id]++
		return true
	}
	b.apply = func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		if p.Remove || c.unreadable(id) {
			return c.Apply(ctx, id, p)
		}
		for {
			work, version := read(id)
			rec, err := work.Apply(ctx, id, p)
			if err != nil {
				return rec, err
			}
			pause()
			if write(id, work, version) {
				return rec, nil
			}
		}
	}
	target := c.target()
	target.Backend, target.Second = b, b
	return target
}
