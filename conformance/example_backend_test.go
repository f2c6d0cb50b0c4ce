package conformance_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/faeeb396/session/backend"
)

// mapBackend is a complete backend: a map under one lock, which makes every call atomic.
type mapBackend struct {
	now     func() time.Time
	mu      sync.Mutex
	records map[string]entry
}

type entry struct {
	backend.Record
	deadline time.Time
}

func newMapBackend() *mapBackend {
	return &mapBackend{now: time.Now, records: map[string]entry{}}
}

// live returns the entry under id, unless its time has passed. The caller holds mu.
func (b *mapBackend) live(id string) (entry, bool) {
	e, ok := b.records[id]
	return e, ok && b.now().Before(e.deadline)
}

func (b *mapBackend) Create(ctx context.Context, id string, rec backend.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := b.live(id); ok {
		return backend.ErrExists
	}
	b.records[id] = entry{copyOf(rec), b.now().Add(rec.TTL)}
	return nil
}

func (b *mapBackend) Load(ctx context.Context, id string) (backend.Record, error) {
	return b.Apply(ctx, id, backend.Patch{Load: true})
}

func (b *mapBackend) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return backend.Record{}, err
	}
	e, ok := b.live(id)
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	if !holds(e.Fields, p) {
		return backend.Record{}, backend.ErrConflict
	}
	sums, ok := add(e.Fields, p.Add)
	if !ok {
		return backend.Record{}, backend.ErrCounter
	}
	// All checks are done: now the writes.
	maps.Copy(e.Fields, p.Set)
	maps.Copy(e.Fields, sums)
	for _, name := range p.Delete {
		delete(e.Fields, name)
	}
	if p.TTL > 0 {
		e.TTL = p.TTL
	}
	if p.TTL > 0 || p.Touch {
		e.deadline = b.now().Add(e.TTL)
	}
	b.records[id] = e
	if p.Remove {
		delete(b.records, id)
	}
	if p.Load {
		return copyOf(e.Record), nil
	}
	return backend.Record{Fields: sums}, nil
}

func (b *mapBackend) Delete(ctx context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(b.records, id)
	return nil
}

// copyOf returns a record whose map is its own, and is there.
func copyOf(rec backend.Record) backend.Record {
	own := make(map[string]string, len(rec.Fields))
	maps.Copy(own, rec.Fields)
	rec.Fields = own
	return rec
}

// holds reports whether the conditions of p hold. A map gives "" for what is not there, as If wants it.
func holds(fields map[string]string, p backend.Patch) bool {
	for name, want := range p.If {
		if fields[name] != want {
			return false
		}
	}
	for _, name := range p.Has {
		if _, ok := fields[name]; !ok {
			return false
		}
	}
	return true
}

// add returns the counters' new values, and whether they are counters before and after.
func add(fields map[string]string, deltas map[string]int64) (map[string]string, bool) {
	sums := map[string]string{}
	for name, delta := range deltas {
		old, ok := fields[name]
		if !ok {
			old = "0"
		}
		n, err := strconv.ParseInt(old, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != old || !inRange(n) || !inRange(delta) || !inRange(n+delta) {
			return nil, false
		}
		sums[name] = strconv.FormatInt(n+delta, 10)
	}
	return sums, true
}

func inRange(n int64) bool { return -backend.MaxCounter <= n && n <= backend.MaxCounter }

// A backend of one's own: the four methods, and nothing else. This one passes the suite.
func Example_backendOfYourOwn() {
	var b backend.Backend = newMapBackend()
	ctx := context.Background()
	fmt.Println(b.Create(ctx, "3q2-7wAAAAAAAAAB", backend.Record{Fields: map[string]string{"user": "ann"}, TTL: time.Hour}))
	rec, err := b.Apply(ctx, "3q2-7wAAAAAAAAAB", backend.Patch{
		If:   map[string]string{"user": "ann"},
		Add:  map[string]int64{"page_views": 1},
		Load: true,
	})
	fmt.Println(rec.Fields["page_views"], rec.TTL, err)
	// Output:
	// <nil>
	// 1 1h0m0s <nil>
}
