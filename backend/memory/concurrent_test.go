package memory_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// chaos makes random calls. Fields x and y are only ever set together and to the same value, so whoever sees
// them differ has seen half of a change.
type chaos struct {
	*testing.T
	b    *memory.Backend
	rnd  *rand.Rand
	ids  []string
	held []backend.Record // what calls returned; written to, to see that nobody else uses it
}

func (c *chaos) run(steps int) {
	for range steps {
		id := c.ids[c.rnd.IntN(len(c.ids))]
		value := fmt.Sprint(c.rnd.Int())
		if c.rnd.IntN(4) == 0 {
			value = strings.Repeat("v", memory.LargeSize/3+c.rnd.IntN(memory.LargeSize/3))
		}
		both := map[string]string{"x": value, "y": value}
		ttl := time.Duration(1+c.rnd.IntN(5)) * time.Second
		switch c.rnd.IntN(14) {
		case 0, 1, 2:
			err := c.b.Create(c.Context(), id, backend.Record{TTL: ttl, Fields: both})
			c.expect(err, backend.ErrExists, memory.ErrFull)
		case 3, 4:
			rec, err := c.b.Load(c.Context(), id)
			c.look(rec, err)
		case 5:
			rec, err := c.b.Apply(c.Context(), id, backend.Patch{Has: []string{"x"}, Load: true})
			c.look(rec, err)
		case 6, 7:
			rec, err := c.b.Apply(c.Context(), id, backend.Patch{Set: both, Load: true})
			c.look(rec, err)
		case 8:
			_, err := c.b.Apply(c.Context(), id, backend.Patch{Touch: c.rnd.IntN(2) == 0, TTL: ttl})
			c.expect(err, backend.ErrNotFound)
		case 9:
			rec, err := c.b.Apply(c.Context(), id, backend.Patch{Add: map[string]int64{"n": 1}, Delete: []string{"z"}})
			c.expect(err, backend.ErrNotFound)
			c.keep(rec)
		case 10:
			rec, err := c.b.Apply(c.Context(), id, backend.Patch{Remove: true, Load: true})
			c.look(rec, err)
		case 11:
			c.expect(c.b.Delete(c.Context(), id))
		case 12:
			for _, err := range c.b.Scan(c.Context()) {
				c.expect(err)
				if c.rnd.IntN(100) == 0 {
					break
				}
			}
			c.b.Len()
		case 13:
			time.Sleep(time.Duration(c.rnd.IntN(100)) * time.Millisecond)
		}
	}
}

func (c *chaos) look(rec backend.Record, err error) {
	c.expect(err, backend.ErrNotFound, backend.ErrConflict)
	if rec.Fields["x"] != rec.Fields["y"] || err == nil && rec.TTL <= 0 {
		c.Errorf("half a record: %.200v", rec)
	}
	c.keep(rec)
}

func (c *chaos) keep(rec backend.Record) {
	if rec.Fields != nil {
		c.held = append(c.held[max(0, len(c.held)-10):], rec)
		for _, rec := range c.held {
			rec.Fields["x"] += "!"
		}
	}
}

func (c *chaos) expect(err error, ok ...error) {
	if err != nil && !slices.Contains(ok, err) {
		c.Error(err)
	}
}

// All methods at once, for the race detector above all.
func TestConcurrentCalls(t *testing.T) {
	for name, opts := range map[string]*memory.Options{
		"no cap":      {MaxRecords: -1},
		"cap not met": {MaxRecords: 1000},
		"evict":       {MaxRecords: 25},
		"fail":        {MaxRecords: 25, FailWhenFull: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(opts)
				ids := append(idsOf(b, 3, 20), idsOf(b, 4, 20)...)
				var wg sync.WaitGroup
				for w := range 8 {
					c := &chaos{T: t, b: b, ids: ids, rnd: rand.New(rand.NewPCG(uint64(w), 7))}
					wg.Go(func() { c.run(2000) })
				}
				wg.Wait()
				check(t, b, b.Len())
			})
		})
	}
}

// Counters add up and no field is lost, in records of both forms.
func TestConcurrentChangesAreAllKept(t *testing.T) {
	for _, size := range []int{0, memory.LargeSize + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const workers, each = 8, 100
			b := memory.New(nil)
			fields := map[string]string{"size": strings.Repeat("s", size)}
			if err := b.Create(t.Context(), "id", backend.Record{TTL: time.Hour, Fields: fields}); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := range each {
						p := backend.Patch{Add: map[string]int64{"n": 1}, Set: map[string]string{fmt.Sprint(w, "-", i): ""}}
						if _, err := b.Apply(t.Context(), "id", p); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			rec, err := b.Load(t.Context(), "id")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := rec.Fields["n"], fmt.Sprint(workers*each); got != want {
				t.Errorf("n = %s, want %s", got, want)
			}
			if got, want := len(rec.Fields), 2+workers*each; got != want {
				t.Errorf("%d fields, want %d", got, want)
			}
			check(t, b, 1)
		})
	}
}

// Of all that create the same ID, one does, and at the cap one place is taken.
func TestConcurrentCreatesOfOneID(t *testing.T) {
	const rounds, workers = 50, 8
	b := memory.New(&memory.Options{MaxRecords: 10})
	for i := range 10 {
		create(t, b, fmt.Sprint("old-", i), time.Hour)
	}
	for round := range rounds {
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			created int
		)
		for range workers {
			wg.Go(func() {
				err := b.Create(t.Context(), fmt.Sprint(round), backend.Record{TTL: time.Duration(2+round) * time.Hour})
				if err == nil {
					mu.Lock()
					created++
					mu.Unlock()
				} else if err != backend.ErrExists {
					t.Errorf("Create = %v, want nil or %v", err, backend.ErrExists)
				}
			})
		}
		wg.Wait()
		if created != 1 {
			t.Errorf("round %d: created %d times, want 1", round, created)
		}
		for i := max(0, round-9); i <= round; i++ { // the nine before it were not evicted
			if _, err := b.Load(t.Context(), fmt.Sprint(i)); err != nil {
				t.Errorf("round %d: Load(%d) = %v", round, i, err)
			}
		}
	}
	check(t, b, 10)
}
