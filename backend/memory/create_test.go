package memory_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// What is evicted is what expires first of all shards, by the deadlines that the records have by then.
func TestCreateEvictsWhatExpiresFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 300 // some in every shard
		b := memory.New(&memory.Options{MaxRecords: most})
		deadlines := make(map[string]time.Duration)
		for i := range most {
			id := fmt.Sprint("old-", i)
			deadlines[id] = time.Duration(1000+i*7%most) * time.Second // no two at once
			create(t, b, id, deadlines[id])
		}
		for i, id := range []string{"old-0", "old-17", "old-18", "old-250"} { // both ways
			deadlines[id] = []time.Duration{3000, 999, 3001, 998}[i] * time.Second
			if _, err := b.Apply(t.Context(), id, backend.Patch{TTL: deadlines[id]}); err != nil {
				t.Fatal(err)
			}
		}
		order := slices.SortedFunc(maps.Keys(deadlines), func(x, y string) int {
			return cmp.Compare(deadlines[x], deadlines[y])
		})
		for n, first := range order {
			create(t, b, fmt.Sprint("new-", n), time.Hour)
			check(t, b, most)
			if _, err := b.Load(t.Context(), first); err != backend.ErrNotFound {
				t.Fatalf("after eviction %d: Load(%q) = %v, want %v", n, first, err, backend.ErrNotFound)
			}
			if got := len(scan(t, b)); got != most {
				t.Fatalf("after eviction %d: %d live records, want %d", n, got, most)
			}
		}
	})
}

// The new record is not weighed against the others: it gets its place though it may expire first.
func TestCreateEvictsForTheShortestRecordToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(&memory.Options{MaxRecords: 2})
		create(t, b, "minute", time.Minute)
		create(t, b, "hour", time.Hour)
		create(t, b, "second", time.Second)
		if diff := gocmp.Diff([]string{"hour", "second"}, scan(t, b)); diff != "" {
			t.Errorf("mismatch (-want +got):\n%s", diff)
		}
	})
}

func TestCreateFailsWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 200
		b := memory.New(&memory.Options{MaxRecords: most, FailWhenFull: true})
		for i := range most {
			create(t, b, fmt.Sprint(i), time.Duration(i+1)*time.Second)
		}
		want := scan(t, b)
		for i := range most {
			err := b.Create(t.Context(), fmt.Sprint("more-", i), backend.Record{TTL: time.Hour})
			if err != memory.ErrFull {
				t.Fatalf("Create past the cap = %v, want %v", err, memory.ErrFull)
			}
		}
		check(t, b, most)
		if diff := gocmp.Diff(want, scan(t, b)); diff != "" {
			t.Errorf("a Create that fails harms records (-want +got):\n%s", diff)
		}
		// A place is free again as soon as one record has expired, or is deleted.
		time.Sleep(time.Second)
		create(t, b, "after expiry", time.Hour)
		if err := b.Create(t.Context(), "x", backend.Record{TTL: time.Hour}); err != memory.ErrFull {
			t.Errorf("Create = %v, want %v", err, memory.ErrFull)
		}
		if err := b.Delete(t.Context(), "100"); err != nil {
			t.Fatal(err)
		}
		create(t, b, "after Delete", time.Hour)
		check(t, b, most)
	})
}

// An ID that exists is ErrExists at the cap too, and costs nobody their place.
func TestCreateOfExistingIDEvictsNothing(t *testing.T) {
	for _, fail := range []bool{false, true} {
		t.Run(fmt.Sprint("fail=", fail), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(&memory.Options{MaxRecords: 10, FailWhenFull: fail})
				for i := range 10 {
					create(t, b, fmt.Sprint(i), time.Duration(i+1)*time.Second)
				}
				want := scan(t, b)
				for i := range 10 {
					err := b.Create(t.Context(), fmt.Sprint(i), backend.Record{TTL: time.Hour})
					if err != backend.ErrExists {
						t.Errorf("Create(%d) = %v, want %v", i, err, backend.ErrExists)
					}
				}
				if diff := gocmp.Diff(want, scan(t, b)); diff != "" {
					t.Errorf("mismatch (-want +got):\n%s", diff)
				}
				check(t, b, 10)
			})
		})
	}
}

// Expired records make room before any live one has to go, wherever they are.
func TestCreateTakesExpiredRecordsFirst(t *testing.T) {
	for _, fail := range []bool{false, true} {
		t.Run(fmt.Sprint("fail=", fail), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(&memory.Options{MaxRecords: 100, FailWhenFull: fail})
				for i := range 50 {
					create(t, b, fmt.Sprint("expired-", i), time.Second)
					create(t, b, fmt.Sprint("live-", i), time.Minute)
				}
				time.Sleep(time.Second)
				for i := range 50 {
					create(t, b, fmt.Sprint("new-", i), time.Hour)
				}
				if got := len(scan(t, b)); got != 100 {
					t.Errorf("%d live records, want 100", got)
				}
				check(t, b, 100)
				// The ID of an expired record takes that one's place.
				time.Sleep(time.Minute)
				create(t, b, "live-0", time.Hour)
				if got := len(scan(t, b)); got != 51 {
					t.Errorf("%d live records, want 51", got)
				}
			})
		})
	}
}

// flood calls create for n records from each of several goroutines, with deadlines that all differ, and watches
// that Len never passes most.
func flood(t *testing.T, b *memory.Backend, n, most int, create func(id string, ttl time.Duration)) (total int) {
	const workers = 8
	var (
		workersDone sync.WaitGroup
		watcherDone sync.WaitGroup
		stop        atomic.Bool
	)
	for w := range workers {
		workersDone.Go(func() {
			for i := range n {
				number := i*workers + w
				create(fmt.Sprint(number), time.Duration(1000+number)*time.Second)
			}
		})
	}
	watcherDone.Go(func() {
		for !stop.Load() {
			if got := b.Len(); got > most {
				t.Errorf("Len = %d, want %d at most", got, most)
				return
			}
		}
	})
	workersDone.Wait()
	stop.Store(true)
	watcherDone.Wait()
	return n * workers
}

// However many create at once, the cap is kept at every moment, and each eviction takes the record that
// expires first: one that has fewer than the cap above it is never taken.
func TestCapIsExactUnderConcurrentCreates(t *testing.T) {
	for _, most := range []int{1, 2, 100} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(&memory.Options{MaxRecords: most})
				total := flood(t, b, 2000, most, func(id string, ttl time.Duration) {
					if err := b.Create(t.Context(), id, backend.Record{TTL: ttl}); err != nil {
						t.Errorf("Create: %v", err)
					}
				})
				check(t, b, most)
				if got := len(scan(t, b)); got != most {
					t.Errorf("%d live records, want %d", got, most)
				}
				for i := range most - 1 {
					if _, err := b.Load(t.Context(), fmt.Sprint(total-1-i)); err != nil {
						t.Errorf("Load(%d) = %v: it was taken before others that expire earlier", total-1-i, err)
					}
				}
			})
		})
	}
}

// Exactly as many get a place as there are places, and nobody loses theirs.
func TestFailWhenFullIsExactUnderConcurrentCreates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 10_000
		b := memory.New(&memory.Options{MaxRecords: most, FailWhenFull: true})
		var (
			mu      sync.Mutex
			created []string
		)
		flood(t, b, most/4, most, func(id string, ttl time.Duration) {
			switch err := b.Create(t.Context(), id, backend.Record{TTL: ttl}); err {
			case nil:
				mu.Lock()
				created = append(created, id)
				mu.Unlock()
			case memory.ErrFull:
			default:
				t.Errorf("Create = %v, want nil or %v", err, memory.ErrFull)
			}
		})
		check(t, b, most)
		slices.Sort(created)
		if diff := gocmp.Diff(created, scan(t, b)); diff != "" {
			t.Errorf("mismatch between what was created and what is there (-created +there):\n%s", diff)
		}
	})
}

// A record that is put off while a Create is about to evict it is not evicted.
func TestCreateEvictsByTheLatestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, calls = 10, 3000
		b := memory.New(&memory.Options{MaxRecords: most})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				id := fmt.Sprint("hot-", w)
				for range calls {
					// Only while this is the deadline of the record may it go.
					_, err := b.Apply(t.Context(), id, backend.Patch{TTL: time.Second})
					if err == nil {
						_, err = b.Apply(t.Context(), id, backend.Patch{TTL: 1000 * time.Hour})
					}
					if err != nil {
						err = b.Create(t.Context(), id, backend.Record{TTL: 1000 * time.Hour})
					}
					if err != nil {
						t.Errorf("Create: %v", err)
					}
					if _, err := b.Load(t.Context(), id); err != nil {
						t.Errorf("Load of a record that expires last = %v", err)
					}
				}
			})
		}
		for w := range 2 {
			wg.Go(func() {
				for i := range 2 * calls {
					err := b.Create(t.Context(), fmt.Sprint(w, "-", i), backend.Record{TTL: time.Hour})
					if err != nil {
						t.Errorf("Create: %v", err)
					}
				}
			})
		}
		wg.Wait()
		check(t, b, most)
	})
}

// With records coming and going all the time at the cap, every Create comes to an end, the cap holds, and an
// ID that exists is never created twice.
func TestCreateAtTheCapUnderChurn(t *testing.T) {
	for _, fail := range []bool{false, true} {
		t.Run(fmt.Sprint("fail=", fail), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const most, ids, workers = 4, 8, 8
				b := memory.New(&memory.Options{MaxRecords: most, FailWhenFull: fail})
				var wg sync.WaitGroup
				for w := range workers {
					wg.Go(func() {
						for i := range 5000 {
							id := fmt.Sprint((i*5 + w) % ids)
							switch (i + w) % 4 {
							case 0:
								if err := b.Delete(t.Context(), id); err != nil {
									t.Errorf("Delete: %v", err)
								}
							case 1: // moves the record that would be evicted
								b.Apply(t.Context(), id, backend.Patch{TTL: time.Duration(1+i%9) * time.Second})
							default:
								err := b.Create(t.Context(), id, backend.Record{TTL: time.Duration(1+i%7) * time.Second})
								if err != nil && err != backend.ErrExists && (!fail || err != memory.ErrFull) {
									t.Errorf("Create: %v", err)
								}
							}
							if got := b.Len(); got > most {
								t.Errorf("Len = %d, want %d at most", got, most)
							}
							if i%500 == 0 {
								time.Sleep(300 * time.Millisecond)
							}
						}
					})
				}
				wg.Wait()
				check(t, b, b.Len())
			})
		})
	}
}
