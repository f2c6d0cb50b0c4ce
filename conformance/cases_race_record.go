package conformance

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about calls at the same time, where a record's time to live, its end and its next beginning matter. They sleep
// for less than a millisecond at a time, since a bubble's clock stands still as long as nobody does.

var raceRecordCases = []testCase{
	{
		name: "RaceTTLWhole",
		rule: ruleAtomic,
		run: func(t *trial) {
			id := t.id()
			t.create(id, backend.Record{Fields: fields{"hours": "1"}, TTL: hour})
			t.stepf("2 goroutines set the time to live to ever more hours, and a field to the same number; 4 others look, and touch")
			t.parallel(6, func(i int, c client) error {
				for k := range 20 {
					if i < 2 {
						time.Sleep(300 * time.Microsecond)
						n := 1 + i + 2*k
						p := backend.Patch{Set: fields{"hours": itoa(n)}, TTL: time.Duration(n) * hour, Durable: durable(k)}
						if _, err := c.tryApply(id, p); err != nil {
							return err
						}
						continue
					}
					time.Sleep(170 * time.Microsecond)
					rec, err := loadEither(c, id, i < 4, backend.Patch{Load: true, Touch: k%2 == 0})
					if err != nil {
						return err
					}
					if n, err := strconv.Atoi(rec.Fields["hours"]); err != nil || rec.TTL != time.Duration(n)*hour {
						return fmt.Errorf("saw a part of a change: %s", showRecord(rec))
					}
				}
				return nil
			})
		},
	},
	{
		name:  "RaceTouchKeepsTTL",
		rule:  ruleTouch,
		waits: true,
		run: func(t *trial) {
			var ids []string
			for range 8 {
				ids = append(ids, t.made(nil))
			}
			t.stepf("one goroutine sets a short time to live, 5 others touch meanwhile: that must not bring the long one back")
			t.parallel(6, func(i int, c client) error {
				for _, id := range ids {
					p := backend.Patch{Touch: true, Durable: durable(i)}
					switch i {
					case 4:
						p.Set = fields{"a": "1"}
					case 5:
						time.Sleep(500 * time.Microsecond) // the others have begun
						p = backend.Patch{TTL: t.ttl(1)}
					}
					if _, err := c.tryApply(id, p); err != nil && !errors.Is(err, backend.ErrNotFound) {
						return err
					}
				}
				return nil
			})
			t.wait(1.6)
			for _, id := range ids {
				t.wantGone(id)
			}
		},
	},
	{
		name:  "RaceCreateAfterExpiry",
		rule:  ruleOnlyCreate,
		waits: true,
		run: func(t *trial) {
			var ids []string
			for range 8 {
				ids = append(ids, t.expiring(1))
			}
			t.wait(1.5)
			for _, id := range ids {
				t.stepf("%s has expired; 4 goroutines create it, 8 others load it or apply to it meanwhile", showID(id))
				var winner atomic.Int64
				t.parallel(12, func(i int, c client) error {
					if i%3 > 0 {
						_, err := loadEither(c, id, i%3 == 1, backend.Patch{Touch: true})
						if errors.Is(err, backend.ErrNotFound) {
							return nil
						}
						return err
					}
					time.Sleep(500 * time.Microsecond) // the others have begun
					err := c.tryCreate(id, record(fields{"by": itoa(i)}))
					switch {
					case errors.Is(err, backend.ErrExists):
						return nil
					case err != nil:
						return fmt.Errorf("a Create failed, want success or ErrExists: %w", err)
					case !winner.CompareAndSwap(0, int64(i+1)):
						return fmt.Errorf("a Create succeeded, after that of goroutine %d had succeeded too", winner.Load()-1)
					}
					return nil
				})
				if winner.Load() == 0 {
					t.failf("no Create succeeded, want one")
				}
				t.wantFields(id, fields{"by": strconv.FormatInt(winner.Load()-1, 10)})
			}
		},
	},
	{
		name: "RaceRecreate",
		rule: ruleNoRevival,
		run: func(t *trial) {
			const last = 12
			id := t.made(generation(0))
			t.stepf("one goroutine deletes %s and creates it anew, %d times; 6 others load it and apply to it", showID(id), last)
			var created atomic.Int64
			t.parallel(7, func(i int, c client) error {
				if i == 0 {
					return recreate(c, id, last, &created)
				}
				for k := 0; k < 200 && created.Load() < last; k++ {
					time.Sleep(time.Duration(100+i) * time.Microsecond)
					least := created.Load()
					p := backend.Patch{Set: fields{"by" + itoa(i): "1"}, Load: true, Durable: durable(i)}
					rec, err := loadEither(c, id, i%2 == 0, p)
					if errors.Is(err, backend.ErrNotFound) {
						continue
					}
					if err != nil {
						return err
					}
					n, err := strconv.ParseInt(rec.Fields["gen"], 10, 64)
					if err != nil || rec.Fields["gen"] != rec.Fields["same"] || n < least {
						return fmt.Errorf("saw %s after the record was created with gen=%d", showRecord(rec), least)
					}
				}
				return nil
			})
			if rec := t.load(id); rec.Fields["gen"] != itoa(last) {
				t.failf("the record was created last with gen=%d, found %s", last, showRecord(rec))
			}
		},
	},
}

// loadEither loads a record, or applies p to it.
func loadEither(c client, id string, load bool, p backend.Patch) (backend.Record, error) {
	if load {
		return c.tryLoad(id)
	}
	return c.tryApply(id, p)
}

// generation returns the fields that a record has when it was created for the nth time.
func generation(n int) fields { return fields{"gen": itoa(n), "same": itoa(n)} }

// recreate deletes and creates a record so many times. It sets created to the generation that is there.
func recreate(c client, id string, last int, created *atomic.Int64) error {
	for n := 1; n <= last; n++ {
		time.Sleep(700 * time.Microsecond)
		if err := c.tryDelete(id); err != nil {
			return fmt.Errorf("a Delete failed: %w", err)
		}
		if n%2 == 0 { // or else the next is there before anybody sees that this one is gone
			time.Sleep(450 * time.Microsecond)
		}
		if err := c.tryCreate(id, record(generation(n))); err != nil {
			return fmt.Errorf("a Create failed, after the Delete: %w", err)
		}
		created.Store(int64(n))
	}
	return nil
}
