package conformance_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"iter"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/conformance"
)

func TestCorrectBackendsPass(t *testing.T) {
	for _, tt := range []struct {
		name   string
		target func(t *testing.T) conformance.Target
	}{
		{name: "Memory", target: func(*testing.T) conformance.Target {
			return conformance.Target{Backend: memory.New(nil)}
		}},
		{name: "Map", target: func(*testing.T) conformance.Target {
			return conformance.Target{Backend: newMapBackend()}
		}},
		{name: "Cacher", target: func(*testing.T) conformance.Target {
			return conformance.Target{Backend: cacher{newMapBackend()}}
		}},
		{name: "Caching", target: func(*testing.T) conformance.Target {
			return conformance.Target{Backend: newCaching(newMapBackend())}
		}},
		{name: "Complete", target: func(*testing.T) conformance.Target {
			return newComplete().target()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conformance.RunSynctest(t, tt.target)
			conformance.RunSessionsSynctest(t, tt.target)
		})
	}
}

// A clock that the test moves, of a store that all cases share.
func TestRunAdvances(t *testing.T) {
	b := newMapBackend()
	now := time.Now()
	b.now = func() time.Time { return now }
	newTarget := func(*testing.T) conformance.Target {
		return conformance.Target{Backend: b, Second: b, Advance: func(d time.Duration) {
			b.mu.Lock()
			defer b.mu.Unlock()
			now = now.Add(d)
		}}
	}
	conformance.Run(t, newTarget)
	conformance.RunSessions(t, newTarget)
	if len(b.records) != 0 {
		t.Errorf("the suite has left %d records behind, want none", len(b.records))
	}
}

func allCases() []conformance.Case {
	return slices.Concat(conformance.Cases(), conformance.SessionCases())
}

// Every case runs where a target has everything.
func TestNoCaseIsSkippedOnCompleteTarget(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.Name, func(t *testing.T) {
			o := conformance.Check(t, c.Name, time.Minute, func(*testing.T) conformance.Target { return newComplete().target() })
			if o.Skip != "" || o.Failure != "" {
				t.Errorf("skipped = %q, failure = %s, want neither", o.Skip, o.Failure)
			}
		})
	}
}

// What a target does not have is skipped, and nothing else.
func TestPlainTargetSkipsOptionalCases(t *testing.T) {
	optional := regexp.MustCompile(`^(Second|Scan|Ping|Fresh|Cache|Unreadable|SessionIDs|SessionUnreadable)`)
	for _, c := range allCases() {
		t.Run(c.Name, func(t *testing.T) {
			o := conformance.Check(t, c.Name, time.Minute, func(*testing.T) conformance.Target {
				return conformance.Target{Backend: newMapBackend()}
			})
			if got, want := o.Skip != "", optional.MatchString(c.Name); got != want {
				t.Errorf("skipped = %v (%s), want %v", got, o.Skip, want)
			}
		})
	}
}

// The rules are the words of the public documentation.
func TestRulesAreQuoted(t *testing.T) {
	names := map[string]bool{}
	for _, of := range []struct {
		cases []conformance.Case
		dir   string
	}{
		{conformance.Cases(), "../backend"},
		{conformance.SessionCases(), ".."},
	} {
		doc := publicDoc(t, of.dir)
		for _, c := range of.cases {
			if names[c.Name] {
				t.Errorf("two cases are named %s", c.Name)
			}
			names[c.Name] = true
			if c.Rule == "" || !strings.Contains(doc, c.Rule) {
				t.Errorf("%s: the documentation of the package in %s does not say %q", c.Name, of.dir, c.Rule)
			}
		}
	}
}

// publicDoc returns the documentation of what the package in dir exports, without line breaks.
func publicDoc(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the files of %s: %v, %v", dir, files, err)
	}
	var text strings.Builder
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(f)
		ast.Inspect(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.CommentGroup); ok {
				text.WriteString(c.Text() + " ")
			}
			return true
		})
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// complete has all that a backend can have: it is a Scanner, a Pinger and a Cacher, below a wrapper, and holds garbage
// that it cannot read. Its cache is off.
type complete struct {
	*mapBackend
	garbage map[string]bool
}

func newComplete() *complete {
	return &complete{mapBackend: newMapBackend(), garbage: map[string]bool{}}
}

// target returns a target whose clients are b, or what wrap makes of it.
func (c *complete) target() conformance.Target {
	return conformance.Target{
		Backend: unwrapper{c}, Second: unwrapper{c},
		Plant: map[string]func(context.Context, string) error{"garbage": c.plant},
	}
}

func (c *complete) plant(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.garbage[id] = true
	return nil
}

func (c *complete) unreadable(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.garbage[id]
}

func (c *complete) Create(ctx context.Context, id string, rec backend.Record) error {
	if c.unreadable(id) {
		return backend.ErrExists
	}
	return c.mapBackend.Create(ctx, id, rec)
}

func (c *complete) Load(ctx context.Context, id string) (backend.Record, error) {
	return c.Apply(ctx, id, backend.Patch{Load: true})
}

func (c *complete) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	if c.unreadable(id) {
		return backend.Record{}, backend.ErrUnreadable
	}
	return c.mapBackend.Apply(ctx, id, p)
}

func (c *complete) Delete(ctx context.Context, id string) error {
	err := c.mapBackend.Delete(ctx, id)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.garbage, id)
	}
	return err
}

func (c *complete) Ping(ctx context.Context) error { return ctx.Err() }

func (c *complete) Fresh() backend.Backend { return nil }

func (c *complete) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		for _, id := range c.ids() {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// cacher has a cache that is never behind.
type cacher struct{ backend.Backend }

func (c cacher) Fresh() backend.Backend { return c.Backend }

// ids returns the IDs of all live records.
func (b *mapBackend) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id := range b.records {
		if _, ok := b.live(id); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// unwrapper wraps a backend as somebody does who counts its calls.
type unwrapper struct{ backend.Backend }

func (u unwrapper) Unwrap() backend.Backend { return u.Backend }
