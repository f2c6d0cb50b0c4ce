package memory_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// model is the contract, told as simply as can be.
type model struct {
	records map[string]*modelRecord
}

type modelRecord struct {
	fields   map[string]string
	ttl      time.Duration
	deadline time.Time
}

// expire drops what has expired.
func (m *model) expire() {
	maps.DeleteFunc(m.records, func(_ string, r *modelRecord) bool { return !time.Now().Before(r.deadline) })
}

func (m *model) create(id string, rec backend.Record) {
	m.records[id] = &modelRecord{fields: maps.Clone(rec.Fields), ttl: rec.TTL, deadline: time.Now().Add(rec.TTL)}
}

func (m *model) apply(id string, p backend.Patch) (backend.Record, error) {
	r, ok := m.records[id]
	if !ok {
		return backend.Record{}, backend.ErrNotFound
	}
	for name, want := range p.If {
		if r.fields[name] != want {
			return backend.Record{}, backend.ErrConflict
		}
	}
	for _, name := range p.Has {
		if _, ok := r.fields[name]; !ok {
			return backend.Record{}, backend.ErrConflict
		}
	}
	fields, reply := maps.Clone(r.fields), make(map[string]string)
	for name, delta := range p.Add {
		value, ok := fields[name]
		if !ok {
			value = "0"
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != value || max(n, -n) > backend.MaxCounter ||
			max(delta, -delta) > backend.MaxCounter || max(n+delta, -n-delta) > backend.MaxCounter {
			return backend.Record{}, backend.ErrCounter
		}
		fields[name] = strconv.FormatInt(n+delta, 10)
		reply[name] = fields[name]
	}
	maps.Copy(fields, p.Set)
	for _, name := range p.Delete {
		delete(fields, name)
	}
	r.fields = fields
	if p.TTL > 0 {
		r.ttl = p.TTL
	}
	if p.TTL > 0 || p.Touch {
		r.deadline = time.Now().Add(r.ttl)
	}
	if p.Remove {
		delete(m.records, id)
	}
	if p.Load {
		return backend.Record{Fields: maps.Clone(r.fields), TTL: r.ttl}, nil
	}
	return backend.Record{Fields: reply}, nil
}

// compare compares errors by identity, and no map with an empty one.
func compare(t *testing.T, what string, want, got backend.Record, wantErr, err error) {
	t.Helper()
	if err != wantErr {
		t.Fatalf("%s = %v, want %v", what, err, wantErr)
	}
	if !maps.Equal(want.Fields, got.Fields) || want.TTL != got.TTL {
		t.Fatalf("%s: mismatch (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

// simulation makes random calls, and compares each with what the model says.
type simulation struct {
	*testing.T
	rnd   *rand.Rand
	b     *memory.Backend
	model model
	max   int
	fail  bool
	ids   []string
}

func (s *simulation) pick(texts ...string) string { return texts[s.rnd.IntN(len(texts))] }

func (s *simulation) id() string { return s.pick(s.ids...) }

func (s *simulation) field() string {
	return s.pick("a", "b", "c", "d", "n", "m", "long", "\x00\xff", "created_at")
}

func (s *simulation) value() string {
	switch s.rnd.IntN(12) {
	case 0:
		return strings.Repeat("v", s.rnd.IntN(memory.LargeSize+2000))
	case 1:
		return strings.Repeat("v", s.rnd.IntN(200))
	case 2:
		return s.pick("007", "+1", "-0", " 1", "1.0", "9007199254740992", "99999999999999999999")
	case 3, 4:
		return strconv.FormatInt(s.rnd.Int64N(2*backend.MaxCounter+1)-backend.MaxCounter, 10)
	default:
		return s.pick("", "1", "-7", "x", "\x80")
	}
}

func (s *simulation) ttl() time.Duration { return time.Duration(1+s.rnd.IntN(30)) * time.Second }

func (s *simulation) record() backend.Record {
	rec := backend.Record{TTL: s.ttl(), Fields: make(map[string]string)}
	for range s.rnd.IntN(8) {
		rec.Fields[s.field()] = s.value()
	}
	if s.rnd.IntN(20) == 0 {
		for i := range s.rnd.IntN(300) {
			rec.Fields[fmt.Sprint("field-", i)] = s.value()
		}
	}
	return rec
}

// patch returns a patch for the record under id, whose conditions mostly hold.
func (s *simulation) patch(id string) backend.Patch {
	var current map[string]string
	if r, ok := s.model.records[id]; ok {
		current = r.fields
	}
	if s.rnd.IntN(15) == 0 {
		return backend.Patch{Remove: true, Load: s.rnd.IntN(2) == 0, Has: []string{s.field()}}
	}
	p := backend.Patch{
		If: make(map[string]string), Set: make(map[string]string), Add: make(map[string]int64),
		Touch: s.rnd.IntN(2) == 0, Load: s.rnd.IntN(2) == 0,
	}
	if s.rnd.IntN(4) == 0 {
		p.TTL = s.ttl()
	}
	for name := range current {
		switch s.rnd.IntN(max(8, len(current)/20)) {
		case 0:
			p.If[name] = current[name]
		case 1:
			p.Has = append(p.Has, name, name)
		}
	}
	if s.rnd.IntN(8) == 0 {
		p.If[s.field()] = s.value()
	}
	if s.rnd.IntN(12) == 0 {
		p.Has = append(p.Has, s.field())
	}
	names := []string{s.field(), s.field(), s.field()}
	if s.rnd.IntN(20) == 0 { // many
		for i := range 300 {
			names = append(names, fmt.Sprint("field-", i))
		}
	}
	slices.Sort(names)
	most := s.rnd.IntN(5)
	for _, name := range slices.Compact(names) {
		switch s.rnd.IntN(1 + most) {
		case 0:
			p.Delete = append(p.Delete, name)
		case 1, 2:
			p.Set[name] = s.value()
		case 3:
			p.Add[name] = s.rnd.Int64N(100) - 50
			if s.rnd.IntN(10) == 0 {
				p.Add[name] = backend.MaxCounter + s.rnd.Int64N(2)
			}
		}
	}
	return p
}

func (s *simulation) create(id string) {
	rec := s.record()
	err := s.b.Create(s.Context(), id, rec)
	switch {
	case s.model.records[id] != nil:
		compare(s.T, "Create", backend.Record{}, backend.Record{}, backend.ErrExists, err)
		return
	case s.max > 0 && len(s.model.records) == s.max && s.fail:
		compare(s.T, "Create", backend.Record{}, backend.Record{}, memory.ErrFull, err)
		return
	case s.max > 0 && len(s.model.records) == s.max:
		s.evict()
	}
	compare(s.T, "Create", backend.Record{}, backend.Record{}, nil, err)
	s.model.create(id, rec)
}

// evict finds out which record was evicted: one of those that expire first.
func (s *simulation) evict() {
	first := time.Unix(1<<40, 0)
	for _, r := range s.model.records {
		if r.deadline.Before(first) {
			first = r.deadline
		}
	}
	var evicted []string
	for id, r := range s.model.records {
		if !r.deadline.Equal(first) {
			continue
		}
		if _, err := s.b.Load(s.Context(), id); errors.Is(err, backend.ErrNotFound) {
			evicted = append(evicted, id)
		}
	}
	if len(evicted) != 1 {
		s.Fatalf("evicted %q of those that expire first, want one", evicted)
	}
	delete(s.model.records, evicted[0])
}

func (s *simulation) step() {
	s.model.expire()
	id := s.id()
	switch s.rnd.IntN(10) {
	case 0, 1, 2:
		s.create(id)
	case 3:
		got, err := s.b.Load(s.Context(), id)
		want, wantErr := s.model.apply(id, backend.Patch{Load: true})
		compare(s.T, "Load", want, got, wantErr, err)
	case 4, 5, 6, 7:
		p := s.patch(id)
		got, err := s.b.Apply(s.Context(), id, p)
		want, wantErr := s.model.apply(id, p)
		compare(s.T, fmt.Sprintf("Apply(%.1000v)", p), want, got, wantErr, err)
	case 8:
		delete(s.model.records, id)
		if err := s.b.Delete(s.Context(), id); err != nil {
			s.Fatalf("Delete = %v", err)
		}
	case 9:
		time.Sleep(time.Duration(s.rnd.IntN(4)) * time.Second / 2)
		s.model.expire()
	}
	if err := memory.Check(s.b); err != nil {
		s.Fatal(err)
	}
	if got := s.b.Len(); got < len(s.model.records) || s.max > 0 && got > s.max {
		s.Fatalf("Len = %d, with %d live records and a cap of %d", got, len(s.model.records), s.max)
	}
}

// compareAll compares all records with the model's.
func (s *simulation) compareAll() {
	s.model.expire()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(s.model.records)), scan(s.T, s.b)); diff != "" {
		s.Fatalf("IDs: mismatch (-want +got):\n%s", diff)
	}
	for id, r := range s.model.records {
		got, err := s.b.Load(s.Context(), id)
		compare(s.T, "Load", backend.Record{Fields: r.fields, TTL: r.ttl}, got, nil, err)
	}
}

// Random calls do what a naive model of the contract does, and leave the tables in order after every one.
func TestBackendIsTheModel(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts memory.Options
	}{
		{name: "no cap", opts: memory.Options{MaxRecords: -1}},
		{name: "evict", opts: memory.Options{MaxRecords: 60}},
		{name: "fail", opts: memory.Options{MaxRecords: 60, FailWhenFull: true}},
	} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s/seed=%d", tt.name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := memory.New(&tt.opts)
					s := &simulation{
						T: t, rnd: rand.New(rand.NewPCG(seed, 0)), b: b, max: tt.opts.MaxRecords, fail: tt.opts.FailWhenFull,
						model: model{records: make(map[string]*modelRecord)},
						ids:   slices.Concat(idsOf(b, 0, 100), idsOf(b, 1, 20), idsOf(b, 63, 5)),
					}
					for i := range 2500 {
						s.step()
						if i%50 == 0 {
							s.compareAll()
						}
					}
					s.compareAll()
				})
			})
		}
	}
}
