package memory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
)

// The parts of a scan yield each record exactly once, though hashes collide, records overflow the table's end, and the
// table is another between two parts.
func TestScanPartsAreExact(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records int
		hash    func(rnd *rand.Rand) uint32
	}{
		{name: "none", records: 0, hash: (*rand.Rand).Uint32},
		{name: "one", records: 1, hash: (*rand.Rand).Uint32},
		{name: "two at the beginning", records: 2, hash: func(*rand.Rand) uint32 { return 0 }},
		{name: "fewer than a part", records: scanMax / 2, hash: (*rand.Rand).Uint32},
		{name: "many", records: 10 * scanMax, hash: (*rand.Rand).Uint32},
		{name: "at the beginning", records: 3 * scanMax, hash: func(*rand.Rand) uint32 { return 0 }},
		{name: "few at the beginning", records: scanMax / 2, hash: func(*rand.Rand) uint32 { return 0 }},
		{name: "at the end", records: 3 * scanMax, hash: func(*rand.Rand) uint32 { return 1<<32 - 1 }},
		{name: "few hashes", records: 3 * scanMax, hash: func(rnd *rand.Rand) uint32 { return rnd.Uint32N(7) * 613_566_756 }},
		{name: "near the end", records: 3 * scanMax, hash: func(rnd *rand.Rand) uint32 { return 1<<32 - 1 - rnd.Uint32N(1<<22) }},
	} {
		for _, change := range []string{"", "grow", "shrink", "shrink to a home for all"} {
			t.Run(tt.name+" "+change, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(1, 2))
				var count atomic.Int64
				s := &shard{count: &count}
				hash := make(map[string]uint32)
				add := func(id string, h uint32) {
					count.Add(1)
					hash[id] = h
					s.insert(hash[id], record{packed: pack(id, 1, nil, 0)}, 1)
				}
				var want []string
				for i := range tt.records {
					want = append(want, fmt.Sprint("stays-", i))
					add(want[i], tt.hash(rnd))
				}
				shrinks := change != "" && change != "grow"
				if shrinks {
					more, of := 5*tt.records, tt.hash
					if change != "shrink" { // so that what was one part is less than a home afterwards
						more, of = max(more, 20*scanMax), (*rand.Rand).Uint32
					}
					for i := range more {
						add(fmt.Sprint("goes-", i), of(rnd))
					}
				}
				var got []string
				parts := 0
				for from := uint64(0); from < hashes; parts++ {
					was := from
					if got, from = s.scan(got, from, 0); from <= was {
						t.Fatalf("a part from %d on ends at %d", was, from)
					}
					switch {
					case parts > 0:
					case change == "grow":
						for i := range 5 * tt.records {
							add(fmt.Sprint("goes-", i), tt.hash(rnd))
						}
					case shrinks:
						for id, hash := range hash {
							if at, ok := s.table.find(hash, id); ok && id[0] == 'g' {
								s.remove(at)
							}
						}
					}
				}
				got = slices.DeleteFunc(got, func(id string) bool { return id[0] == 'g' })
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%d IDs in %d parts, want each of %d once", len(got), parts, len(want))
				}
			})
		}
	}
}

// Whoever deletes what Scan yields leaves a table in which records are found as fast as in any other.
func TestDeletesInScanOrderLeaveNoCluster(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var count atomic.Int64
	s := &shard{count: &count}
	hash := make(map[string]uint32)
	const records = DefaultMaxRecords / shardCount
	for i := range records {
		id := fmt.Sprint(i)
		hash[id] = rnd.Uint32()
		count.Add(1)
		s.insert(hash[id], record{packed: pack(id, 1, nil, 0)}, 1)
	}
	var ids []string
	for from := uint64(0); from < hashes; {
		ids, from = s.scan(ids[:0], from, 0)
		for _, id := range ids {
			at, ok := s.table.find(hash[id], id)
			if !ok {
				t.Fatalf("%q is not found", id)
			}
			s.remove(at)
		}
		wantNear(t, s)
	}
}

// So do touches in the order of a scan, after which the cap takes the records in that order.
func TestEvictionInScanOrderLeavesNoCluster(t *testing.T) {
	const records = 6000
	b := New(&Options{MaxRecords: records})
	last := 0
	create := func() {
		for {
			last++
			if id := strconv.Itoa(last); b.shard(id) == &b.shards[0] {
				if err := b.Create(t.Context(), id, backend.Record{TTL: time.Hour}); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	for range records {
		create()
	}
	for id := range b.Scan(t.Context()) {
		if _, err := b.Apply(t.Context(), id, backend.Patch{Touch: true}); err != nil {
			t.Fatal(err)
		}
	}
	for range records * 3 / 4 {
		create()
	}
	wantNear(t, &b.shards[0])
}

// wantNear expects the records of a shard to lie a few buckets behind their homes, on average.
func wantNear(t *testing.T, s *shard) {
	t.Helper()
	if len(s.queue) == 0 {
		return
	}
	far, mask := 0, uint32(len(s.table)-1)
	for b, at := range s.table.records() {
		far += int((at - s.table.home(b.hash)) & mask)
	}
	if got := far / len(s.queue); got > 16 {
		t.Fatalf("%d records in %d buckets lie %d behind their homes on average, want a few", len(s.queue), len(s.table), got)
	}
}
