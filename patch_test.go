package session_test

import (
	"context"
	"maps"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// lingering is a backend whose calls go on after they have failed, and look at what they were given.
type lingering struct {
	backend.Backend
	fail bool
	kept []backend.Patch // of calls that failed
	seen []backend.Patch // as they were
}

func (l *lingering) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if l.fail {
		l.kept = append(l.kept, p)
		p.If, p.Set = maps.Clone(p.If), maps.Clone(p.Set)
		l.seen = append(l.seen, p)
		return backend.Record{}, errStore
	}
	return l.Backend.Apply(ctx, id, p)
}

// keeping is a backend that keeps the patches that it refuses.
type keeping struct {
	backend.Backend
	kept []backend.Patch
	seen []backend.Patch // as they were
}

func (k *keeping) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	rec, err := k.Backend.Apply(ctx, id, p)
	if err != nil {
		k.kept = append(k.kept, p)
		p.If, p.Set = maps.Clone(p.If), maps.Clone(p.Set)
		k.seen = append(k.seen, p)
	}
	return rec, err
}

// So is one whose second try is made.
func TestPatchThatWasRefusedFirstIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeping{Backend: memory.New(nil)}
		m, ctx := mustNew(t, k, quiet(session.Options{RotateInterval: time.Minute})), t.Context()
		s := mustCreate(t, m, map[string]string{"a": "1"})
		time.Sleep(2 * time.Minute)
		mustCommit(t, mustLoad(t, m, s.Token()))
		if _, err := m.SetFields(ctx, s.Token(), map[string]string{"b": "2"}); err != nil {
			t.Fatal(err)
		}
		if len(k.kept) != 1 || !reflect.DeepEqual(k.kept, k.seen) {
			t.Errorf("refused %v, now %v", k.seen, k.kept)
		}
	})
}

func TestPatchThatFailedIsLeftAlone(t *testing.T) {
	l := &lingering{Backend: memory.New(nil)}
	m, ctx := mustNew(t, l, quiet(session.Options{TouchInterval: -1})), t.Context()
	s := mustCreate(t, m, map[string]string{"a": "1"})
	for range 20 {
		l.fail = true
		view := mustPeek(t, m, s)
		view.Set("a", "2")
		if view.Commit(ctx) == nil {
			t.Fatal("Commit = nil")
		}
		if _, err := m.Load(ctx, s.Token()); err == nil {
			t.Fatal("Load = nil")
		}
		if _, err := m.SetFields(ctx, s.Token(), map[string]string{"b": "2"}); err == nil {
			t.Fatal("SetFields = nil")
		}
		l.fail = false
		if _, err := m.SetFields(ctx, s.Token(), map[string]string{"c": "3"}); err != nil {
			t.Fatal(err)
		}
		view = mustLoad(t, m, s.Token())
		view.Set("d", "4")
		mustCommit(t, view)
	}
	if len(l.kept) != 60 || !reflect.DeepEqual(l.kept, l.seen) {
		t.Errorf("of %d patches that failed, some have changed since:\n%v\nwere\n%v", len(l.kept), l.kept, l.seen)
	}
}

// hasMore is a wrapper that asks for one more field. It appends, and that changes nobody else's patch.
type hasMore struct{ backend.Backend }

func (h hasMore) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	p.Has = append(p.Has, "tenant")
	return h.Backend.Apply(ctx, id, p)
}

func TestWrapperMayAppendToHas(t *testing.T) {
	more, ctx := mustNew(t, hasMore{memory.New(nil)}, quiet(session.Options{})), t.Context()
	s := mustCreate(t, more, map[string]string{"tenant": "x"})
	if _, err := more.Touch(ctx, s.Token()); err != nil {
		t.Fatal(err)
	}
	s.Set("a", "1")
	mustCommit(t, s)
	m := mustNew(t, memory.New(nil), quiet(session.Options{}))
	other := mustCreate(t, m, map[string]string{"a": "1"})
	other.Set("a", "2")
	if err := other.Commit(ctx); err != nil {
		t.Errorf("another Manager, on another store: %v", err)
	}
}
