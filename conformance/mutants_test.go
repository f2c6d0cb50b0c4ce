package conformance_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/conformance"
)

// A mutant is a backend with one bug: one that session stores have had, or that a tired programmer writes.
type mutant struct {
	name string

	// kills names the cases that must find the bug. Others may find it too.
	kills []string

	// target makes the mutant's target of a backend that is right.
	target func(*complete) conformance.Target

	// shares says that the mutant shares maps or slices with its callers: where goroutines use them, the runtime may
	// end the whole test, and other tests may find them changed.
	shares bool
}

func mutants() []mutant {
	all := slices.Concat(
		createMutants, applyMutants, conditionMutants, counterMutants, replyMutants, bytesMutants,
		wideMutants, pathMutants, callerMutants, raceMutants, raceRecordMutants, clientMutants, cacheMutants, freshMutants,
		scanMutants, expiryMutants, touchMutants, stuckMutants, sessionMutants, modelMutants,
	)
	for i := range all {
		for _, c := range conformance.SessionCases() {
			if slices.Contains(sessionKills[c.Name], all[i].name) {
				all[i].kills = append(slices.Clip(all[i].kills), c.Name)
			}
		}
	}
	return all
}

// mutantStall is how long a mutant that hangs is watched.
const mutantStall = 250 * time.Millisecond

func (m mutant) check(t *testing.T, name string) conformance.Outcome {
	t.Helper()
	return conformance.Check(t, name, mutantStall, func(*testing.T) conformance.Target { return m.target(newComplete()) })
}

func TestMutantsAreKilled(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			if len(m.kills) == 0 {
				t.Error("the mutant names no case that finds it")
			}
			for _, name := range m.kills {
				if m.check(t, name).Failure == "" {
					t.Errorf("the mutant survives the case %s", name)
				}
			}
		})
	}
}

// Each case is there for a reason.
func TestEveryCaseKills(t *testing.T) {
	killers := map[string]bool{}
	for _, m := range mutants() {
		for _, name := range m.kills {
			killers[name] = true
		}
	}
	for _, c := range allCases() {
		if !killers[c.Name] {
			t.Errorf("no mutant is there to be killed by the case %s", c.Name)
		}
	}
}

// What sessionKills names is there.
func TestSessionKillsAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, m := range mutants() {
		if known[m.name] {
			t.Errorf("two mutants are named %q", m.name)
		}
		known[m.name] = true
	}
	for _, c := range conformance.SessionCases() {
		known[c.Name] = true
	}
	for name, killed := range sessionKills {
		for _, name := range append(killed, name) {
			if !known[name] {
				t.Errorf("there is no mutant or case %q", name)
			}
		}
	}
}

// With -v, TestMutantMatrix prints which case kills which mutant.
func TestMutantMatrix(t *testing.T) {
	if !testing.Verbose() {
		t.Skip("the matrix is printed with -v")
	}
	all := allCases()
	var b strings.Builder
	for i, c := range all {
		fmt.Fprintf(&b, "%4d  %s\n", i+1, c.Name)
	}
	width := 0
	for _, m := range mutants() {
		width = max(width, len(m.name))
	}
	for _, m := range mutants() {
		var row strings.Builder
		killed := 0
		for i, c := range all {
			if i%10 == 0 {
				row.WriteByte(' ')
			}
			switch {
			case m.shares && !slices.Contains(m.kills, c.Name):
				row.WriteByte('-')
				continue
			case m.check(t, c.Name).Failure == "":
				row.WriteByte('.')
				continue
			}
			row.WriteByte('X')
			killed++
		}
		fmt.Fprintf(&b, "%-*s %s %3d\n", width, m.name, row.String(), killed)
	}
	t.Logf("the cases, and for each mutant an X for each case that kills it, a - where it is not tried:\n%s", b.String())
}

// altered is a backend some of whose methods are others.
type altered struct {
	backend.Backend
	create func(ctx context.Context, id string, rec backend.Record) error
	load   func(ctx context.Context, id string) (backend.Record, error)
	apply  func(ctx context.Context, id string, p backend.Patch) (backend.Record, error)
	del    func(ctx context.Context, id string) error
}

func (a altered) Unwrap() backend.Backend { return a.Backend }

func (a altered) Create(ctx context.Context, id string, rec backend.Record) error {
	if a.create != nil {
		return a.create(ctx, id, rec)
	}
	return a.Backend.Create(ctx, id, rec)
}

func (a altered) Load(ctx context.Context, id string) (backend.Record, error) {
	if a.load != nil {
		return a.load(ctx, id)
	}
	return a.Backend.Load(ctx, id)
}

func (a altered) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if a.apply != nil {
		return a.apply(ctx, id, p)
	}
	return a.Backend.Apply(ctx, id, p)
}

func (a altered) Delete(ctx context.Context, id string) error {
	if a.del != nil {
		return a.del(ctx, id)
	}
	return a.Backend.Delete(ctx, id)
}

// alter returns a target of which every client is c with other methods.
func alter(a func(c *complete) altered) func(*complete) conformance.Target {
	return func(c *complete) conformance.Target {
		target := c.target()
		b := a(c)
		b.Backend = c
		target.Backend, target.Second = b, b
		return target
	}
}

// creating returns a target with another Create.
func creating(f func(c *complete, ctx context.Context, id string, rec backend.Record) error) func(*complete) conformance.Target {
	return alter(func(c *complete) altered {
		return altered{create: func(ctx context.Context, id string, rec backend.Record) error { return f(c, ctx, id, rec) }}
	})
}

// loading returns a target with another Load.
func loading(f func(c *complete, ctx context.Context, id string) (backend.Record, error)) func(*complete) conformance.Target {
	return alter(func(c *complete) altered {
		return altered{load: func(ctx context.Context, id string) (backend.Record, error) { return f(c, ctx, id) }}
	})
}

// applying returns a target with another Apply.
func applying(f func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error)) func(*complete) conformance.Target {
	return alter(func(c *complete) altered {
		return altered{apply: func(ctx context.Context, id string, p backend.Patch) (backend.Record, error) { return f(c, ctx, id, p) }}
	})
}

// patching returns a target whose Apply is given another patch. f may keep nothing of p.
func patching(f func(p *backend.Patch)) func(*complete) conformance.Target {
	return applying(func(c *complete, ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
		p = copyOfPatch(p)
		f(&p)
		return c.Apply(ctx, id, p)
	})
}

// edit changes the live record under id behind the backend's back, and reports whether there is one.
func (b *mapBackend) edit(id string, f func(e *entry)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.live(id)
	if ok {
		f(&e)
		b.records[id] = e
	}
	return ok
}
