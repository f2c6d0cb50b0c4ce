package redissuite

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// The same patches, made at random, must do the same here and in the memory backend.
func testApplyLikeMemory(t *testing.T, k Kit) {
	k.onServers(t, func(t *testing.T, s *Store) {
		const seed, records, patches = 20261123, 40, 25
		rnd := patchMaker{rand.New(rand.NewPCG(seed, seed))}
		model := memory.New(nil)
		for i := range records {
			id := "r" + strconv.Itoa(i)
			rec := backend.Record{Fields: rnd.fields(), TTL: time.Hour}
			s.MustCreate(t, id, rec.Fields)
			if err := model.Create(t.Context(), id, rec); err != nil {
				t.Fatal(err)
			}
			for range patches {
				sameApply(t, s, model, id, rnd.patch())
			}
		}
	})
}

// sameApply checks that a patch does the same to a record of two backends.
func sameApply(t *testing.T, got, want backend.Backend, id string, p backend.Patch) {
	t.Helper()
	gotRec, gotErr := got.Apply(t.Context(), id, p)
	wantRec, wantErr := want.Apply(t.Context(), id, p)
	if !errors.Is(gotErr, wantErr) {
		t.Fatalf("Apply(%+v) = %v, want %v", p, gotErr, wantErr)
	}
	if diff := cmp.Diff(wantRec, gotRec, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("Apply(%+v), mismatch (-want +got):\n%s", p, diff)
	}
	gotRec, gotErr = got.Load(t.Context(), id)
	wantRec, wantErr = want.Load(t.Context(), id)
	if diff := cmp.Diff(wantRec, gotRec, cmpopts.EquateEmpty()); !errors.Is(gotErr, wantErr) || diff != "" {
		t.Fatalf("Load after Apply(%+v) = %v, want %v, mismatch (-want +got):\n%s", p, gotErr, wantErr, diff)
	}
}

// patchMaker makes patches that often succeed, at random, of few names and values that are not easy.
type patchMaker struct{ *rand.Rand }

func (r patchMaker) pick(from ...string) string { return from[r.IntN(len(from))] }

func (r patchMaker) name() string {
	return r.pick("a", "b", "c", "n", "\x00", "ä", "session_x", "touch", "0")
}

func (r patchMaker) value() string {
	return r.pick("", "0", "1", "-1", "7", "-0", "01", "+1", "1.0", "1e3", " 1", "1\n", "1\x00", "x", "\xff",
		"9007199254740991", "-9007199254740991", "9007199254740992", "-9007199254740992", "9223372036854775807",
		"99999999999999999999", "0x1", "nan", "inf")
}

func (r patchMaker) delta() int64 {
	deltas := []int64{0, 1, -1, 1000, 1<<53 - 1, -(1<<53 - 1), 1 << 53, -1 << 53, 1<<53 + 1, 1<<63 - 1, -1 << 63}
	return deltas[r.IntN(len(deltas))]
}

func (r patchMaker) fields() map[string]string {
	fields := map[string]string{}
	for range r.IntN(8) {
		fields[r.name()] = r.value()
	}
	return fields
}

func (r patchMaker) patch() backend.Patch {
	p := backend.Patch{If: map[string]string{}, Set: map[string]string{}, Add: map[string]int64{}, Load: r.IntN(2) == 0}
	for range r.IntN(10) / 8 {
		p.If[r.name()] = r.value()
	}
	for range r.IntN(10) / 8 {
		p.Has = append(p.Has, r.name())
	}
	if r.IntN(50) == 0 {
		p.Remove = true
		return p
	}
	used := map[string]bool{}
	for range r.IntN(4) {
		name := r.name()
		if used[name] {
			continue
		}
		used[name] = true
		switch r.IntN(3) {
		case 0:
			p.Set[name] = r.value()
		case 1:
			p.Delete = append(p.Delete, name)
		case 2:
			p.Add[name] = r.delta()
		}
	}
	p.Touch = r.IntN(3) == 0
	p.TTL = time.Duration(r.IntN(3)/2) * time.Hour
	return p
}
