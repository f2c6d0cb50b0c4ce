package conformance

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about calls that run at the same time. None of them waits for a call of another goroutine in a loop
// without end: a bubble's clock stands still as long as one of its goroutines runs.

var raceCases = []testCase{
	{
		name: "RaceOneCreator",
		rule: ruleOnlyCreate,
		run: func(t *trial) {
			for range 20 {
				id := t.id()
				t.stepf("32 goroutines create %s, each with a value of its own", showID(id))
				var winner atomic.Int64
				t.parallel(32, func(i int, c client) error {
					err := c.tryCreate(id, record(fields{"by": itoa(i)}))
					switch {
					case errors.Is(err, backend.ErrExists):
						return nil
					case err == nil && winner.CompareAndSwap(0, int64(i+1)):
						return nil
					case err == nil:
						return fmt.Errorf("a Create succeeded, after that of goroutine %d had succeeded too", winner.Load()-1)
					}
					return fmt.Errorf("a Create failed, want success or ErrExists: %w", err)
				})
				if winner.Load() == 0 {
					t.failf("no Create succeeded, want one")
				}
				t.wantFields(id, fields{"by": strconv.FormatInt(winner.Load()-1, 10)})
			}
		},
	},
	{
		name: "RaceCreateWhole",
		rule: ruleAtomic,
		run: func(t *trial) {
			want := record(fields{"a": "1", "b": "2", "c": ""})
			for range 20 {
				id := t.id()
				t.stepf("one goroutine creates %s, others load it meanwhile", showID(id))
				t.parallel(5, func(i int, c client) error {
					if i == 0 {
						return c.tryCreate(id, want)
					}
					seen := 0
					for k := 0; k < 50 && seen < 10; k++ {
						got, err := c.tryLoad(id)
						if errors.Is(err, backend.ErrNotFound) {
							continue
						}
						if err != nil {
							return fmt.Errorf("a Load failed: %w", err)
						}
						seen++
						if d := diff(want, got); d != "" {
							return fmt.Errorf("a Load returned a part of the record, mismatch (-want +got):\n%s", d)
						}
					}
					return nil
				})
			}
		},
	},
	{
		name: "RaceCountersSum",
		rule: ruleAtomic,
		run: func(t *trial) {
			const routines, each = 50, 20
			id := t.made(fields{"other": "x"})
			t.stepf("%d goroutines add 1 to a counter %d times each; half of the patches are Durable", routines, each)
			var seen [routines*each + 1]atomic.Bool
			t.parallel(routines, func(i int, c client) error {
				for range each {
					rec, err := c.tryApply(id, backend.Patch{Add: map[string]int64{"n": 1}, Durable: durable(i)})
					if err != nil {
						return fmt.Errorf("an Apply failed: %w", err)
					}
					n, err := strconv.Atoi(rec.Fields["n"])
					if err != nil || n < 1 || n > routines*each || seen[n].Swap(true) {
						return fmt.Errorf("an Apply returned the counter %q: out of bounds, or returned twice", rec.Fields["n"])
					}
				}
				return nil
			})
			t.wantFields(id, fields{"n": itoa(routines * each), "other": "x"})
		},
	},
	{
		name: "RaceNoLostField",
		rule: ruleAtomic,
		run: func(t *trial) {
			const n = 64
			id := t.made(nil)
			t.stepf("%d goroutines set a field each; half of the patches are Durable", n)
			want := fields{}
			for i := range n {
				want["f"+itoa(i)] = itoa(i)
			}
			t.parallel(n, func(i int, c client) error {
				_, err := c.tryApply(id, backend.Patch{Set: fields{"f" + itoa(i): itoa(i)}, Durable: durable(i)})
				return err
			})
			t.wantFields(id, want)
		},
	},
	{
		name: "RaceConditionalWinner",
		rule: ruleAtomic,
		run: func(t *trial) {
			id := t.made(fields{"v": "none"})
			prev := "none"
			for round := range 10 {
				t.stepf("32 goroutines set v, each if it is %q; half of the patches are Durable", prev)
				var winner atomic.Int64
				patch := func(i int) backend.Patch {
					v := itoa(round) + "/" + itoa(i)
					return backend.Patch{If: fields{"v": prev}, Set: fields{"v": v}, Durable: durable(i)}
				}
				t.parallel(32, func(i int, c client) error {
					_, err := c.tryApply(id, patch(i))
					switch {
					case errors.Is(err, backend.ErrConflict):
						return nil
					case err == nil && winner.CompareAndSwap(0, int64(i+1)):
						return nil
					case err == nil:
						return fmt.Errorf("an Apply %s succeeded, and so did %s", showPatch(patch(i)), showPatch(patch(int(winner.Load()-1))))
					}
					return fmt.Errorf("an Apply failed, want success or ErrConflict: %w", err)
				})
				if winner.Load() == 0 {
					t.failf("no Apply succeeded, want one")
				}
				prev = itoa(round) + "/" + itoa(int(winner.Load()-1))
				t.wantFields(id, fields{"v": prev})
			}
		},
	},
	{
		name: "RaceAppliesWhole",
		rule: ruleAtomic,
		run: func(t *trial) {
			id := t.made(fields{"a": "-", "b": "-", "x": "0", "y": "0"})
			t.stepf("4 goroutines set a and b to the same, and add 1 to x and y, two with Durable patches; 4 others look")
			t.parallel(8, func(i int, c client) error {
				for k := range 25 {
					v := itoa(i) + "/" + itoa(k)
					p := backend.Patch{Load: true}
					if i%2 == 0 {
						p.Set, p.Add, p.Durable = fields{"a": v, "b": v}, map[string]int64{"x": 1, "y": 1}, durable(i)
					}
					rec, err := c.tryApply(id, p)
					if err == nil && i%2 == 1 && k%2 == 1 {
						rec, err = c.tryLoad(id)
					}
					if err != nil {
						return err
					}
					f := rec.Fields
					if f["a"] != f["b"] || f["x"] != f["y"] || rec.TTL != hour {
						return fmt.Errorf("saw a part of a change: %s", showRecord(rec))
					}
					if i%2 == 0 && f["a"] != v {
						return fmt.Errorf("an Apply has set a to %q and returned %s", v, showRecord(rec))
					}
				}
				return nil
			})
			rec := t.load(id)
			if rec.Fields["x"] != "100" {
				t.failf("x is %q at the end, want \"100\"", rec.Fields["x"])
			}
		},
	},
	{
		name: "RaceDeleteBeatsApply",
		rule: ruleNoRevival,
		run: func(t *trial) {
			for range 30 {
				id := t.made(fields{"a": "1"})
				t.stepf("one goroutine deletes %s, others apply to it meanwhile; half of the patches are Durable", showID(id))
				var deleted atomic.Bool
				t.parallel(8, func(i int, c client) error {
					if i == 3 {
						err := c.tryDelete(id)
						deleted.Store(true)
						return err
					}
					p := racingPatches()[i%len(racingPatches())]
					p.Durable = durable(i)
					return applyUntilGone(c, id, p, &deleted)
				})
				t.wantGone(id)
				t.create(id, record(fields{"b": "1"}))
				t.wantFields(id, fields{"b": "1"})
			}
		},
	},
	{
		name: "RaceRemoveOnce",
		rule: ruleAtomic,
		run: func(t *trial) {
			for range 20 {
				id := t.made(fields{"code": "1"})
				t.stepf("16 goroutines remove %s; half of the patches are Durable", showID(id))
				var removed atomic.Int64
				t.parallel(16, func(i int, c client) error {
					p := backend.Patch{If: fields{"code": "1"}, Remove: true, Load: i%2 == 0, Durable: durable(i)}
					rec, err := c.tryApply(id, p)
					switch {
					case errors.Is(err, backend.ErrNotFound):
						return nil
					case err != nil:
						return fmt.Errorf("an Apply failed, want success or ErrNotFound: %w", err)
					case removed.Add(1) > 1:
						return errors.New("an Apply removed the record, after another had removed it")
					case i%2 == 0 && rec.Fields["code"] != "1":
						return fmt.Errorf("an Apply removed the record and returned %s", showRecord(rec))
					}
					return nil
				})
				if removed.Load() != 1 {
					t.failf("no Apply removed the record, want one")
				}
				t.wantGone(id)
			}
		},
	},
	{
		name: "RaceRemoveSeesAll",
		rule: ruleReplyLoad,
		run: func(t *trial) {
			for round := range 20 {
				id := t.made(fields{"n": "0"})
				t.stepf("one goroutine removes %s, others add to a counter meanwhile; half of the patches are Durable", showID(id))
				var added atomic.Int64
				var last backend.Record
				t.parallel(8, func(i int, c client) error {
					if i == 3 {
						var err error
						last, err = c.tryApply(id, backend.Patch{Remove: true, Load: true, Durable: durable(round)})
						return err
					}
					for range 10 {
						_, err := c.tryApply(id, backend.Patch{Add: map[string]int64{"n": 1}, Durable: durable(i)})
						if errors.Is(err, backend.ErrNotFound) {
							return nil
						}
						if err != nil {
							return err
						}
						added.Add(1)
					}
					return nil
				})
				t.wantGone(id)
				t.same("the Apply that removed the record", last, record(fields{"n": strconv.FormatInt(added.Load(), 10)}))
			}
		},
	},
	{
		name: "RaceLoadSeesAcked",
		rule: ruleAcked,
		run: func(t *trial) {
			for _, writer := range t.clients() {
				seesAcked(t, writer, 6, func(i int, c client, id string) (backend.Record, error) {
					return loadEither(c, id, i%3 < 2, backend.Patch{Load: true})
				})
			}
		},
	},
	{
		name: "RaceLoadsOwnMaps",
		rule: ruleOwnership,
		run: func(t *trial) {
			all := fields{"a": "1", "b": "2"}
			for range 20 {
				id := t.made(all)
				t.stepf("16 goroutines load %s; then the caller changes what each was given", showID(id))
				var got [16]backend.Record
				t.parallel(len(got), func(i int, c client) (err error) {
					got[i], err = loadEither(c, id, i%4 > 0, backend.Patch{Load: true})
					return err
				})
				for _, rec := range got {
					t.same("one of them", rec, record(all))
				}
				for i, rec := range got {
					clear(rec.Fields)
					rec.Fields["by"] = itoa(i)
				}
				for i, rec := range got {
					if !maps.Equal(rec.Fields, fields{"by": itoa(i)}) {
						t.failf("two calls at the same time returned one map")
					}
				}
			}
		},
	},
}

// seesAcked checks that n goroutines see in a record, which look returns, all that one of them has written with writer.
func seesAcked(t *trial, writer client, n int, look func(i int, c client, id string) (backend.Record, error)) {
	id := t.made(fields{"v": "0"})
	t.stepf("one goroutine counts v up with %sApply, and it and %d others look at what it has written", writer.name, n-1)
	var acked atomic.Int64
	t.parallel(n, func(i int, c client) error {
		for v := int64(1); v <= 40; v++ {
			if i == 0 {
				time.Sleep(300 * time.Microsecond) // the others have begun
				if _, err := writer.tryApply(id, backend.Patch{Set: fields{"v": strconv.FormatInt(v, 10)}}); err != nil {
					return err
				}
				acked.Store(v)
			}
			least := acked.Load()
			rec, err := look(i, c, id)
			if err != nil {
				return err
			}
			if seen, err := strconv.ParseInt(rec.Fields["v"], 10, 64); err != nil || seen < least {
				return fmt.Errorf("saw %s after v=%d was acknowledged", showRecord(rec), least)
			}
			if i > 0 {
				time.Sleep(200 * time.Microsecond)
			}
		}
		return nil
	})
}

// durable reports whether the patches of a goroutine are Durable: those of every client in half of its goroutines.
func durable(i int) bool { return i/2%2 == 1 }

// racingPatches returns changes that a record with a=1 takes any number of times.
func racingPatches() []backend.Patch {
	return []backend.Patch{
		{Set: fields{"c": "1"}},
		{Touch: true},
		{TTL: 2 * hour},
		{Add: map[string]int64{"n": 1}},
		{If: fields{"a": "1"}, Set: fields{"c": "2"}, Touch: true},
		{Has: []string{"a"}, Delete: []string{"c"}, Load: true},
		{Set: fields{"c": "3"}, Add: map[string]int64{"n": 1}, TTL: hour, Load: true},
	}
}

// applyUntilGone applies p again and again, while another goroutine deletes the record and then sets deleted.
func applyUntilGone(c client, id string, p backend.Patch, deleted *atomic.Bool) error {
	for range 8 {
		if err := applyUnlessGone(c, id, p, deleted); err != nil {
			return err
		}
	}
	return nil
}

// applyUnlessGone applies p to a record that comes to its end meanwhile. It sets gone when it sees that; if it
// was set before the call, the call must not succeed.
func applyUnlessGone(c client, id string, p backend.Patch, gone *atomic.Bool) error {
	before := gone.Load()
	_, err := c.tryApply(id, p)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		gone.Store(true)
		return nil
	case err != nil:
		return fmt.Errorf("an Apply %s failed, want success or ErrNotFound: %w", showPatch(p), err)
	case before:
		return fmt.Errorf("an Apply %s succeeded after the record was gone", showPatch(p))
	}
	return nil
}
