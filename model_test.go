package session_test

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// One client makes random requests, one after the other, and a model says what comes of each.

// game is a client that makes one request after the other, and the model of its session.
type game struct {
	*diary
	t        *testing.T
	rng      *rand.Rand
	opts     session.Options
	managers []*session.Manager // each a machine
	look     *session.Manager   // without a cache, to see what is stored
	isStored func(id string) bool

	token session.Token
	given []session.Token   // all that the session has had before
	ended map[string]string // by ID: how
	s     *session.Session
	view  *view
	fresh bool // s shows nothing that comes from a cache
}

func newGame(t *testing.T, seed uint64) *game {
	rng, store := rand.New(rand.NewPCG(seed, 1)), memory.New(nil)
	opts := session.Options{
		IdleTimeout: 10 * time.Minute, AbsoluteTimeout: time.Hour,
		RememberIdleTimeout: 2 * time.Hour, RememberAbsoluteTimeout: 5 * time.Hour,
		RotateInterval: pick(rng, 0, 3*time.Minute), TouchInterval: pick[time.Duration](rng, 0, -1),
		MaxSessions: rng.IntN(2), // one client has no more than one
	}
	opts.RefuseLogin = opts.MaxSessions > 0
	look := mustNew(t, store, quiet(opts))
	g := &game{
		diary: newDiary(seed), t: t, rng: rng, opts: opts, look: look, managers: []*session.Manager{look, look},
		ended: make(map[string]string), view: newView(nil, &opts),
		isStored: func(id string) bool {
			_, err := store.Load(t.Context(), id)
			return err == nil
		},
	}
	if seed%3 == 0 {
		for i := range g.managers {
			g.managers[i] = mustNew(t, newHoard(store), quiet(opts))
		}
	}
	g.note("options %+v", opts)
	return g
}

func (g *game) fail(format string, args ...any) {
	g.t.Helper()
	g.t.Fatal(g.explain(format, args...))
}

func TestSessionFollowsModel(t *testing.T) {
	eachSeed(t, 1200, func(t *testing.T, seed uint64) {
		g := newGame(t, seed)
		for range 12 {
			if g.rng.IntN(2) == 0 {
				time.Sleep(pick[time.Duration](g.rng, 1, 59, 4*60, 9*60, 50*60, 2*60*60) * time.Second)
			}
			g.begin()
			for range g.rng.IntN(7) {
				g.step(pick(g.rng, modelOps...))
			}
			g.step("Commit")
			g.token = g.s.Token()
			g.checkLists()
		}
	})
}

// begin loads the session that the client has, if it has one.
func (g *game) begin() {
	m, ctx, old := pick(g.rng, g.managers...), g.t.Context(), g.view.stored
	g.s, g.view, g.fresh = m.NewSession(), newView(nil, &g.opts), true
	if old == nil {
		g.note("request without a session")
		return
	}
	live := time.Now().Before(old.end(&g.opts))
	g.note("request of %v, live %v", old, live)
	s, err := m.Load(ctx, g.token)
	if err == nil && !live {
		err = s.Fresh(ctx) // a cache may have let it in
	}
	if (err == nil) != live || err != nil && !errors.Is(err, session.ErrNotFound) {
		g.fail("Load = %v, and the session is to live until %v", err, old.end(&g.opts))
	}
	if !live {
		if tokenAlive(g.t, g.look, g.token) { // which also takes away what is past its absolute timeout
			g.fail("the session's token is alive after its end")
		}
		g.ended[old.id] = "timed out"
		return
	}
	if g.opts.TouchInterval < 0 {
		old.used = time.Now()
	}
	g.s, g.view, g.fresh = s, newView(old, &g.opts), false
}

var owners = []string{"ann", "bob"}

var modelOps = strings.Fields("Set Set Delete SetLabel Login Remember Rotate SetTTL " +
	"Increment Increment Take Take Update Update Commit Destroy Fresh") // those of the second line store at once

// do does an operation, to the Session and to the model.
func (g *game) do(op, name, value string) error {
	s, v, ctx := g.s, g.view, g.t.Context()
	switch op {
	case "Set":
		s.Set(name, value)
		v.set(name, value)
	case "Delete":
		s.Delete(name)
		v.remove(name)
	case "SetLabel":
		s.SetLabel(value)
		v.set(labelName, value)
	case "Login":
		owner := pick(g.rng, owners...)
		s.Login(owner)
		v.logIn(owner)
	case "Remember":
		s.Remember()
		v.remember, v.remembered = true, true
	case "Rotate":
		s.Rotate()
		v.rotate = true
	case "SetTTL":
		v.ttl, v.newTTL = time.Duration(1+g.rng.IntN(20))*time.Minute, true
		return s.SetTTL(v.ttl)
	case "Increment":
		return g.increment(name)
	case "Take":
		return g.take(name)
	case "Update":
		return g.update(name, value)
	case "Commit":
		v.commit(&g.opts)
		return s.Commit(ctx)
	case "Destroy":
		g.view = newView(nil, &g.opts)
		return s.Destroy(ctx)
	}
	return nil
}

func (g *game) increment(name string) error {
	v := g.view
	was, bad := strconv.Atoi(cmp.Or(v.fields[name], "0"))
	if bad != nil && v.login && g.opts.MaxSessions > 0 {
		return nil // the login, which is refused with it, counts as one under way for a minute
	}
	got, err := g.s.Increment(g.t.Context(), name, 2)
	switch {
	case bad != nil && errors.Is(err, session.ErrCounter):
		return nil
	case bad != nil || got != int64(was+2):
		g.fail("Increment(%s) = %d, %v; the field was %q", name, got, err, v.fields[name])
	}
	v.fields[name] = strconv.Itoa(was + 2)
	v.commit(&g.opts)
	return err
}

func (g *game) take(name string) error {
	v := g.view
	got, ok, err := g.s.Take(g.t.Context(), name)
	if want, there := v.fields[name]; got != want || ok != there {
		g.fail("Take(%s) = %q, %v, %v, want %q, %v", name, got, ok, err, want, there)
	}
	if ok {
		v.remove(name)
		v.commit(&g.opts)
	}
	return err
}

func (g *game) update(name, more string) error {
	v := g.view
	was, there := v.fields[name]
	_, err := g.s.Update(g.t.Context(), name, func(value string, ok bool) (string, error) {
		if value != was || ok != there {
			g.fail("Update(%s) is given %q, %v, want %q, %v", name, value, ok, was, there)
		}
		return value + "," + more, nil
	})
	v.set(name, was+","+more)
	v.commit(&g.opts)
	return err
}

// step does an operation, and compares the Session, the model and the store.
func (g *game) step(op string) {
	g.t.Helper()
	name, value := pick(g.rng, "a", "b", "c"), pick(g.rng, strconv.Itoa(g.rng.IntN(100)), "17", "no number")
	reads := op == "Take" // past the cache by itself
	if !g.fresh && !reads && strings.Contains("Increment Take Update Commit Destroy Fresh", op) {
		if err := g.s.Fresh(g.t.Context()); err != nil {
			g.fail("Fresh = %v", err)
		}
		g.fresh = true
	}
	before, old, moved := g.s.Token(), g.view.stored, g.view.login || g.view.rotate
	err := g.do(op, name, value)
	g.note("  %s %s %s: %v", op, name, value, g.s)
	if err != nil {
		g.fail("%s = %v", op, err)
	}
	m := g.view.stored
	if !before.IsZero() && before.Reveal() != g.s.Token().Reveal() {
		g.given = append(g.given, before)
	}
	if old != nil && (m == nil || m.id != old.id) {
		g.ended[old.id] = op
	}
	if m != nil {
		g.checkToken(before, moved)
	}
	if old != nil && (g.ended[old.id] != "" || moved && !g.view.pending()) {
		g.checkTokensFromBefore()
	}
	for id, how := range g.ended {
		if g.isStored(id) || g.s.ID() == id {
			g.fail("session %s is there, and has ended: %s", id, how)
		}
	}
	g.checkFields()
}

// checkToken checks the ID, which stays, and the token, which a login, a rotation by hand and the timer replace.
func (g *game) checkToken(before session.Token, moved bool) {
	g.t.Helper()
	v, m, now := g.view, g.view.stored, time.Now()
	switch age := now.Sub(m.renewed); {
	case m.id == "":
		v.id, m.id = g.s.ID(), g.s.ID()
	case m.id != g.s.ID():
		g.fail("the session's ID was %s and is %s", m.id, g.s.ID())
	case before.Reveal() == g.s.Token().Reveal():
	case !moved && (g.opts.RotateInterval == 0 || age < g.opts.RotateInterval):
		g.fail("the token was replaced after %v", age)
	default:
		v.renewed, m.renewed = now, now
	}
}

// checkTokensFromBefore checks that a login, a rotation by hand and the session's end have left no token alive.
func (g *game) checkTokensFromBefore() {
	g.t.Helper()
	for _, token := range g.given {
		if tokenAlive(g.t, g.look, token) {
			g.fail("a token from before is alive: that of %s", token.ID())
		}
	}
	g.given = nil
}

// checkFields checks what the Session shows, and what the store holds.
func (g *game) checkFields() {
	g.t.Helper()
	m := g.view.stored
	if got, want := describe(g.s), g.view.String(); g.fresh && got != want || g.s.Exists() != (m != nil) {
		g.fail("the session shows %s, stored %v\nwant %s, %v", got, g.s.Exists(), want, m != nil)
	}
	if m == nil {
		return
	}
	p, err := g.look.Peek(g.t.Context(), g.s.Token())
	if err != nil {
		g.fail("Peek = %v", err)
	}
	if got, want := describe(p), m.String(); got != want || p.Remaining() != time.Until(m.end(&g.opts)) {
		g.fail("the store holds %s, for %v\nwant %s, for %v", got, p.Remaining(), want, time.Until(m.end(&g.opts)))
	}
}

// checkLists checks which sessions the owners have, now and then: a look tidies up.
func (g *game) checkLists() {
	g.t.Helper()
	for _, owner := range owners {
		if g.rng.IntN(2) == 0 {
			continue
		}
		var got, want []session.Info
		got, err := g.look.Sessions(g.t.Context(), owner)
		for i := range got { // the other times are the first login's and the last touch's
			got[i].CreatedAt, got[i].AuthenticatedAt, got[i].LastAccessedAt = time.Time{}, time.Time{}, time.Time{}
		}
		if m := g.view.stored; m != nil && m.owner == owner {
			want = []session.Info{{
				ID: m.id, Label: m.fields[labelName], Remembered: m.remembered, ExpiresAt: m.end(&g.opts).UTC(),
			}}
		}
		if err != nil || !slices.Equal(got, want) {
			g.fail("Sessions(%s) = %+v, %v, want %+v", owner, got, err, want)
		}
	}
}
