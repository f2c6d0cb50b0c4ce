package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"

	"github.com/faeeb396/session/backend"
)

// Cases about a Scanner.

var scanCases = []testCase{
	{
		name: "ScanNamesLive",
		rule: ruleScan,
		run: func(t *trial) {
			t.scanner()
			live := map[string]bool{}
			for range 150 {
				live[t.made(fields{"a": "1"})] = true
			}
			base := t.id()
			for _, id := range []string{base + ":x", base + ".", "." + base, ":" + base, base[:5] + "_" + base[5:] + "-"} {
				live[t.own(id)] = true
				t.create(id, record(nil))
			}
			dead := map[string]bool{}
			for id := range maps.Clone(live) {
				if len(dead) < 20 {
					t.delete(id)
					dead[id], live[id] = true, false
				}
			}
			t.wantScan(live, dead)
			t.wantScan(live, dead)
			if s, ok := backend.As[backend.Scanner](t.second.b); ok {
				t.wantScanOf(noted{s, t, t.second.name}, live, dead)
			}
		},
	},
	{
		name: "ScanNamesLarge",
		rule: ruleScan,
		run: func(t *trial) {
			t.scanner()
			all, _, _ := numbered(veryWide)
			big := fields{"a": strings.Repeat("0123456789abcdef", 4<<10)}
			t.wantScan(map[string]bool{t.made(all): true, t.made(big): true, t.made(nil): true}, nil)
		},
	},
	{
		name: "ScanPages",
		rule: ruleScan,
		run: func(t *trial) {
			const n, routines = 1200, 50 // stores name 1000 at once
			t.scanner()
			live := map[string]bool{}
			ids := make([]string, n)
			for i := range ids {
				ids[i] = t.id()
				live[ids[i]] = true
			}
			t.stepf("%d goroutines create %d records", routines, n)
			t.parallel(routines, func(i int, c client) error {
				for k := i; k < n; k += routines {
					if err := c.tryCreate(ids[k], record(nil)); err != nil {
						return err
					}
				}
				return nil
			})
			t.wantScan(live, nil)
		},
	},
	{
		name: "ScanUnderChurn",
		rule: "A record that lives for the whole of the scan is yielded at least once, one that comes or goes meanwhile may be or not, and an ID may be yielded more than once.",
		run: func(t *trial) {
			t.scanner()
			live := map[string]bool{}
			for range 100 {
				live[t.made(nil)] = true
			}
			var churn [2][]string
			for range 40 {
				churn[0], churn[1] = append(churn[0], t.id()), append(churn[1], t.id())
			}
			t.stepf("one goroutine scans while 2 create and delete others")
			yields := make(chan struct{}, 64)
			t.parallel(3, func(i int, c client) error {
				if i > 0 {
					return churnRecords(c, churn[i-1], yields)
				}
				defer close(yields)
				for range 5 {
					seen, err := t.scan(t.ctx, yields)
					if err != nil {
						return err
					}
					if err := sawAll(live, seen); err != nil {
						return err
					}
				}
				return nil
			})
		},
	},
	{
		name: "ScanUnderTouches",
		rule: "A record that lives for the whole of the scan is yielded at least once, one that comes or goes meanwhile may be or not, and an ID may be yielded more than once.",
		run: func(t *trial) {
			s := t.scanner()
			live := map[string]bool{}
			for range 40 {
				live[t.made(nil)] = true
			}
			seen := map[string]bool{}
			yielded, rounds := 0, 0
			for id, err := range s.Scan(t.ctx) {
				if err != nil {
					t.failf("Scan failed: %v", err)
				}
				seen[id] = true
				if yielded++; yielded%20 != 1 || rounds == 3 {
					continue
				}
				rounds++
				t.stepf("a loop over Scan shortens the life of what it has not been given yet")
				for id := range live {
					if !seen[id] {
						t.apply(id, backend.Patch{Set: fields{"a": "1"}, TTL: hour - time.Duration(rounds)*time.Minute})
					}
				}
			}
			if err := sawAll(live, seen); err != nil {
				t.failf("%v", err)
			}
		},
	},
	{
		name: "ScanLongIDs",
		rule: ruleScan,
		run: func(t *trial) {
			t.scanner()
			live := map[string]bool{}
			long := (t.id() + strings.Repeat("x", 64))[:63]
			for _, id := range []string{long + "a", long + "b", long, "q", ".", ":"} {
				t.own(id)
				t.delete(id) // should an earlier run have been interrupted
				t.create(id, record(nil))
				live[id] = true
			}
			t.wantScan(live, nil)
		},
	},
	{
		name: "ScanStopsEarly",
		rule: ruleScan,
		run: func(t *trial) {
			s := t.scanner()
			live := map[string]bool{}
			for range 30 {
				live[t.made(nil)] = true
			}
			for _, stopAt := range []int{1, 2, 7} {
				n := 0
				for _, err := range s.Scan(t.ctx) {
					if err != nil {
						t.failf("Scan failed: %v", err)
					}
					if n++; n == stopAt {
						break
					}
				}
				t.stepf("a loop over Scan ends after %d", stopAt)
			}
			t.delete(t.made(nil)) // nothing is left locked
			t.wantScan(live, nil)
		},
	},
	{
		name: "ScanLoopCalls",
		rule: "The loop may call the backend, to delete what it is given for example.",
		run: func(t *trial) {
			s := t.scanner()
			live := map[string]bool{}
			for range 60 {
				live[t.made(nil)] = true
			}
			seen := map[string]bool{}
			for id, err := range s.Scan(t.ctx) {
				if err != nil {
					t.failf("Scan failed: %v", err)
				}
				if !live[id] || seen[id] {
					continue // another case's, or yielded again
				}
				t.stepf("a loop over Scan is given %s", showID(id))
				seen[id] = true
				t.load(id)
				t.second.apply(id, backend.Patch{Touch: true})
				t.made(nil)
				t.delete(id)
			}
			if len(seen) != len(live) {
				t.failf("Scan did not yield %d of %d records, which lived until it did", len(live)-len(seen), len(live))
			}
			t.wantScan(nil, seen)
		},
	},
	{
		name: "ScanInLoop",
		rule: ruleScans,
		run: func(t *trial) {
			s := t.scanner()
			live := map[string]bool{}
			for range 60 {
				live[t.made(nil)] = true
			}
			seen, n := map[string]bool{}, 0
			for id, err := range s.Scan(t.ctx) {
				if err != nil {
					t.failf("Scan failed: %v", err)
				}
				seen[id] = true
				if n++; n%25 == 1 && n < 60 {
					t.stepf("a loop over Scan has been given %d, and scans itself", n)
					t.wantScan(live, nil)
				}
			}
			if err := sawAll(live, seen); err != nil {
				t.failf("%v", err)
			}
		},
	},
	{
		name: "ScansTogether",
		rule: ruleScans,
		run: func(t *trial) {
			s := t.scanner()
			live := map[string]bool{}
			for range 60 {
				live[t.made(nil)] = true
			}
			t.stepf("4 goroutines scan")
			t.parallel(4, func(int, client) error {
				seen := map[string]bool{}
				for id, err := range s.Scan(t.ctx) {
					if err != nil {
						return fmt.Errorf("a Scan failed: %w", err)
					}
					if seen[id] = true; len(seen) < 60 {
						time.Sleep(20 * time.Microsecond) // the others go on
					}
				}
				return sawAll(live, seen)
			})
		},
	},
	{
		name: "ScanContextEnded",
		rule: "An error is yielded last, with an empty ID. A ctx that has ended is one; if it ends during the scan, that may go unnoticed.",
		run: func(t *trial) {
			s := t.scanner()
			for range 10 {
				t.made(nil)
			}
			ended, cancel := context.WithCancel(t.ctx)
			cancel()
			if _, err := t.scan(ended, nil); !errors.Is(err, context.Canceled) {
				t.failf("Scan with a context that has ended yielded the error %v, want %v", err, context.Canceled)
			}
			during, cancel := context.WithCancel(t.ctx)
			defer cancel()
			var last error
			for id, err := range s.Scan(during) {
				cancel() // the scan may go on to its end, or fail
				if last != nil || (err != nil) != (id == "") {
					t.failf("Scan yielded (%q, %v) after the error %v", id, err, last)
				}
				last = err
			}
			if last != nil && !errors.Is(last, context.Canceled) {
				t.failf("Scan yielded the error %v after its context ended, want %v", last, context.Canceled)
			}
		},
	},
	{
		name:  "ScanSkipsExpired",
		rule:  ruleScan,
		waits: true,
		run: func(t *trial) {
			t.scanner()
			live, dead := map[string]bool{}, map[string]bool{}
			for range 5 {
				live[t.made(nil)] = true
				dead[t.expiring(1)] = true
			}
			t.wait(1.5)
			t.wantScan(live, dead)
		},
	},
	{
		name:  "ScanDoesNotTouch",
		rule:  ruleScan,
		waits: true,
		run: func(t *trial) {
			t.scanner()
			id := t.expiring(2)
			t.wait(1.2)
			t.wantScan(map[string]bool{id: true}, nil)
			t.wait(1.4)
			t.wantGone(id)
		},
	},
}

// scanner returns the target's Scanner, or skips the case.
func (tr *trial) scanner() noted {
	s, ok := backend.As[backend.Scanner](tr.target.Backend)
	if !ok {
		tr.skip("the backend is no backend.Scanner")
	}
	return noted{s, tr, ""}
}

// noted is a Scanner whose scans are noted as calls under way.
type noted struct {
	backend.Scanner
	tr   *trial
	name string // goes before the name of the method in the steps
}

func (n noted) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		defer n.tr.calling(func() string { return n.name + "Scan()" })()
		n.Scanner.Scan(ctx)(yield)
	}
}

// maxScan is how much a scan may yield before it is taken to be without end.
const maxScan = 1 << 18

// scan returns all that one scan yields. It tells so to each, unless that is nil or not ready.
func (tr *trial) scan(ctx context.Context, each chan<- struct{}) (map[string]bool, error) {
	return scanOf(ctx, tr.scanner(), each)
}

// scanOf is scan for another Scanner.
func scanOf(ctx context.Context, s backend.Scanner, each chan<- struct{}) (map[string]bool, error) {
	seen := map[string]bool{}
	var last error
	n := 0
	for id, err := range s.Scan(ctx) {
		n++
		switch {
		case last != nil:
			return nil, fmt.Errorf("a Scan yielded (%q, %v) after the error %w", id, err, last)
		case (err != nil) != (id == ""):
			return nil, fmt.Errorf("a Scan yielded the ID %q with the error %v", id, err)
		case n > maxScan:
			return nil, fmt.Errorf("a Scan has yielded %d times and goes on", maxScan)
		}
		seen[id], last = true, err
		select {
		case each <- struct{}{}:
		default:
		}
	}
	return seen, last
}

// wantScan expects a scan to yield all of live and none of dead. It may yield others too.
func (tr *trial) wantScan(live, dead map[string]bool) {
	tr.wantScanOf(tr.scanner(), live, dead)
}

// wantScanOf is wantScan for another Scanner.
func (tr *trial) wantScanOf(s noted, live, dead map[string]bool) {
	seen, err := scanOf(tr.ctx, s, nil)
	tr.stepf("%sScan() = %d IDs, %s", s.name, len(seen), showError(err))
	if err != nil {
		tr.failf("Scan failed: %v", err)
	}
	for id, lives := range live {
		if lives && !seen[id] {
			tr.failf("Scan did not yield %s, which lives", showID(id))
		}
	}
	for id := range dead {
		if seen[id] {
			tr.failf("Scan yielded %s, which is gone", showID(id))
		}
	}
	for other := range seen {
		if _, ok := live[other]; ok {
			continue
		}
		for id := range live { // that of another case does not hold an ID of this one
			if len(id) > 8 && strings.Contains(other, id) {
				tr.failf("Scan yielded %q, which is no record's ID", other)
			}
		}
	}
}

// churnRecords creates and deletes records each time that a scan has yielded, so that the two go on together
// however fast each is.
func churnRecords(c client, ids []string, yields <-chan struct{}) error {
	i := 0
	for range yields {
		if err := c.tryCreate(ids[i%len(ids)], record(nil)); err != nil {
			return err
		}
		i++
		if i < len(ids)/2 {
			continue
		}
		if err := c.tryDelete(ids[(i-len(ids)/2)%len(ids)]); err != nil {
			return err
		}
	}
	return nil
}

// sawAll returns an error unless a scan has seen all of the records that lived all the time.
func sawAll(live, seen map[string]bool) error {
	for id := range live {
		if !seen[id] {
			return fmt.Errorf("a Scan did not yield %s, which lived all the time", showID(id))
		}
	}
	return nil
}
