package session_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// Several clients make random requests at the same time, over a store that is slow and may fail: what was
// promised holds in any order.

// account is what was acknowledged of a session, and so is to hold.
type account struct {
	owner  string   // who logged in
	fields []string // that were set
	marks  []string // that were added to the log
	counts int64    // how often the counter was incremented
	maybe  int64    // how often besides, perhaps
	ended  string   // how it was ended
}

// trial is a store, the Managers that share it, and what they have acknowledged.
type trial struct {
	*diary
	t        *testing.T
	opts     session.Options
	lost     int
	store    backend.Backend
	managers []*session.Manager // over the rough store
	look     *session.Manager   // over the store itself
	nobody   bool               // ends the sessions of others

	mu       sync.Mutex
	broken   string // the first promise that was not kept
	last     int    // of the names that occur once
	accounts map[string]*account
	taken    map[string]int // by flash value
}

func newTrial(t *testing.T, seed uint64) *trial {
	rng, store := rand.New(rand.NewPCG(seed, 2)), memory.New(nil)
	tr := &trial{
		diary: newDiary(seed), t: t, store: store, lost: pick(rng, 0, 0, 2, 8),
		accounts: make(map[string]*account), taken: make(map[string]int),
		opts: session.Options{
			StoreTimeout: time.Hour, AbsoluteTimeout: 24 * time.Hour,
			RotateInterval: pick(rng, 0, 10*time.Second), TouchInterval: pick[time.Duration](rng, 0, -1),
			MaxSessions: pick(rng, 0, 0, 1, 2),
		},
	}
	tr.opts.RefuseLogin = tr.opts.MaxSessions > 0 && rng.IntN(2) == 0
	tr.look = mustNew(t, store, quiet(tr.opts))
	for range 2 {
		var b backend.Backend = newRough(store, seed, tr.lost)
		if seed%3 == 0 {
			b = newHoard(b)
		}
		tr.managers = append(tr.managers, mustNew(t, b, quiet(tr.opts)))
	}
	tr.note("lost %d%%, options %+v", tr.lost, tr.opts)
	return tr
}

// breach notes a promise that was not kept. The caller holds tr.mu, as for what is below.
func (tr *trial) breach(format string, args ...any) {
	tr.broken = cmp.Or(tr.broken, fmt.Sprintf(format, args...))
	tr.note("BROKEN: "+format, args...)
}

func (tr *trial) account(id string) *account {
	if tr.accounts[id] == nil {
		tr.accounts[id] = new(account)
	}
	return tr.accounts[id]
}

func TestManagerKeepsPromisesInParallel(t *testing.T) {
	eachSeed(t, 700, func(t *testing.T, seed uint64) {
		tr, rng := newTrial(t, seed), rand.New(rand.NewPCG(seed, 3))
		revokes := rng.IntN(2) == 0
		tr.nobody = !revokes && (tr.opts.MaxSessions == 0 || tr.opts.RefuseLogin)
		var wg sync.WaitGroup
		for i := range uint64(3) {
			c := &client{trial: tr, name: fmt.Sprint(i), rng: rand.New(rand.NewPCG(seed, 10+i))}
			wg.Go(c.run)
		}
		wg.Go(func() {
			for range 8 {
				time.Sleep(upTo(rng, 10*time.Second))
				tr.check(false)
				if owner := pick(rng, owners...); revokes && rng.IntN(2) == 0 {
					wg.Go(func() { tr.revokeAll(owner) })
				}
			}
		})
		wg.Wait()
		if tr.check(true); tr.broken != "" {
			t.Fatal(tr.explain("%s", tr.broken))
		}
	})
}

// revokeAll ends the sessions that are known as an owner's before it begins.
func (tr *trial) revokeAll(owner string) {
	var before []*account
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.note("RevokeAll(%s) ...", owner)
	for _, a := range tr.accounts {
		if a.owner == owner {
			before = append(before, a)
		}
	}
	tr.mu.Unlock()
	n, err := tr.managers[0].RevokeAll(tr.t.Context(), owner)
	tr.mu.Lock()
	tr.note("RevokeAll(%s) = %d, %v", owner, n, err)
	for _, a := range before {
		if err == nil {
			a.ended = "revoked"
		}
	}
}

// check looks at all that is stored.
func (tr *trial) check(atTheEnd bool) {
	lists, lives := make(map[string][]string), make(map[string]int)
	for _, owner := range owners {
		lists[owner] = listed(tr.t, tr.look, owner)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for id := range tr.look.IDs(tr.t.Context()) {
		rec, _ := tr.store.Load(tr.t.Context(), id)
		owner, a := rec.Fields["session_owner"], tr.accounts[id]
		for name := range rec.Fields {
			if _, of, _ := strings.Cut(name, "@"); of != "" && of != owner {
				tr.breach("%s of %q holds %s", id, owner, name)
			}
		}
		// A login under way may find that it is not listed any more, and ends itself.
		known := owner != "" && (atTheEnd || a != nil && a.owner == owner)
		if known {
			lives[owner]++
		}
		if known && !slices.Contains(lists[owner], id) {
			tr.breach("%s of %s is not listed", id, owner)
		}
		if a == nil {
			continue
		}
		if a.ended != "" {
			tr.breach("%s lives, and was %s", id, a.ended)
		}
		for _, name := range a.fields {
			if _, ok := rec.Fields[name]; !ok {
				tr.breach("%s lacks %s, which was acknowledged", id, name)
			}
		}
		log := strings.Split(rec.Fields["log"], ";")
		for _, mark := range a.marks {
			if !slices.Contains(log, mark) {
				tr.breach("%s lacks update %s in %q, which was acknowledged", id, mark, log)
			}
		}
		if slices.Sort(log); len(slices.Compact(log)) < len(log) {
			tr.breach("%s has an update twice", id)
		}
		if n, _ := strconv.ParseInt(rec.Fields["n"], 10, 64); atTheEnd && (n < a.counts || n > a.counts+a.maybe) {
			tr.breach("%s counts %d, want %d and up to %d more", id, n, a.counts, a.maybe)
		}
	}
	for _, owner := range owners {
		if most := tr.opts.MaxSessions; most > 0 && tr.lost == 0 && lives[owner] > most {
			tr.breach("%s has %d sessions, at most %d", owner, lives[owner], most)
		}
	}
}

// client is a browser.
type client struct {
	*trial
	name  string
	rng   *rand.Rand
	token session.Token
	safe  bool // its token is alive, and nobody ends the session but by the client's own request
}

// run makes requests, one after the other or from several tabs at a time.
func (c *client) run() {
	tabs := 1 + c.rng.IntN(3)
	for round := range 6 {
		time.Sleep(upTo(c.rng, 8*time.Second))
		calm, came, n := c.rng.IntN(2) == 0, c.token, tabs
		if came.IsZero() {
			n = 1
		}
		// Of tabs that log in, out or rotate at the same time, the one that is answered last may have lost.
		c.safe = c.safe && (calm || n == 1)
		safe := c.nobody && (calm || n == 1)
		var wg sync.WaitGroup
		for i := range n {
			v := &visit{
				client: c, name: fmt.Sprintf("%s.%d.%d", c.name, round, i), came: came, calm: calm,
				rng: rand.New(rand.NewPCG(c.rng.Uint64(), 0)), ids: make(map[string]bool),
			}
			wg.Go(func() {
				time.Sleep(upTo(v.rng, 500*time.Millisecond))
				kept := v.run()
				c.mu.Lock()
				defer c.mu.Unlock()
				safe = safe && kept
			})
		}
		wg.Wait()
		if c.safe = safe && !c.token.IsZero(); c.safe && !tokenAlive(c.t, c.look, c.token) {
			c.mu.Lock()
			c.breach("client %s is logged out of %s, which nobody has ended", c.name, c.token.ID())
			c.mu.Unlock()
		}
	}
}

// visit is a request.
type visit struct {
	*client
	name string
	rng  *rand.Rand
	came session.Token // what the client had when it began
	calm bool          // it neither logs in nor out, nor rotates

	s      *session.Session
	keys   []string        // fields that were set and not acknowledged yet
	unsure int64           // increments of unknown outcome
	ids    map[string]bool // of the sessions that it has had
	moved  bool            // it has asked for a login, a logout or a rotation
	doubt  bool            // whether its token is alive
}

// run makes the request, and reports whether the client's token, if it has one then, is alive.
func (v *visit) run() bool {
	ctx, m := v.t.Context(), pick(v.rng, v.managers...)
	v.s = m.NewSession()
	if !v.came.IsZero() {
		s, err := m.Load(ctx, v.came)
		if err != nil {
			return v.notLoaded(err)
		}
		v.s = s
	}
	for range v.rng.IntN(5) {
		v.ids[v.s.ID()] = true
		v.act(v.rng.IntN(16))
	}
	err := v.s.Commit(ctx)
	v.answered("Commit", err)
	if err != nil && v.rng.IntN(2) == 0 {
		err = v.s.Commit(ctx)
		v.answered("second Commit", err)
	}
	v.ids[v.s.ID()] = true
	h := make(http.Header)
	m.WriteCookie(h, v.s)
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range v.ids {
		v.account(id).maybe += v.unsure
	}
	if len(h) > 0 {
		v.token = v.s.Token()
	}
	return !v.moved || err == nil && !v.doubt
}

func (v *visit) notLoaded(err error) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.note("%s: Load = %v", v.name, err)
	if !errors.Is(err, session.ErrNotFound) {
		return v.safe
	}
	if v.safe {
		v.breach("%s: the client is logged out of %s, which nobody has ended", v.name, v.came.ID())
	}
	if v.token.Equal(v.came) {
		v.token = session.Token{}
	}
	return false
}

// act does one of the things that requests do.
func (v *visit) act(what int) {
	ctx, s := v.t.Context(), v.s
	v.mu.Lock()
	v.last++
	unique := strconv.Itoa(v.last)
	v.mu.Unlock()
	switch {
	case what < 3:
		name := "k" + unique + "@" + s.Owner()
		v.keys = append(v.keys, name)
		s.Set(name, "1")
	case what < 5:
		_, err := s.Increment(ctx, "n", 1)
		if v.answered("Increment", err); err != nil && !refused(err) {
			v.unsure++
		}
	case what == 5:
		s.Set("flash", unique)
	case what < 8:
		if value, ok, err := s.Take(ctx, "flash"); ok || err != nil {
			v.answered("Take "+value, err)
		}
	case what == 8:
		s.Remember()
	case what == 14 || what == 15:
		_, err := s.Update(ctx, "log", func(value string, _ bool) (string, error) { return value + unique + ";", nil })
		v.answered("Update "+unique, err)
	case what == 9:
		_ = s.SetTTL(time.Duration(1+v.rng.IntN(12)) * time.Hour)
	case v.calm:
	case what < 12:
		if len(v.keys) == 0 { // what this request has set goes along to another owner
			s.Login(pick(v.rng, owners...))
			v.moved = true
		}
	case what == 12:
		s.Rotate()
		v.moved = true
	default:
		id, err := s.ID(), s.Destroy(ctx)
		v.answered("Destroy "+id, err)
		v.moved, v.doubt = true, v.doubt || err != nil
	}
}

// refused reports whether an error says that nothing was stored, nor is to be.
func refused(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) ||
		errors.Is(err, session.ErrTooManySessions)
}

// answered notes what has been acknowledged.
func (v *visit) answered(what string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id, owner := v.s.ID(), v.s.Owner()
	v.note("%s: %s = %v; %v of %q, with %q", v.name, what, err, v.s, owner, v.keys)
	op, arg, _ := strings.Cut(what, " ")
	switch a := v.account(id); {
	case err != nil:
	case op == "Destroy":
		v.account(arg).ended = "destroyed"
	case id != "":
		a.owner, a.fields = cmp.Or(owner, a.owner), append(a.fields, v.keys...)
	case len(v.keys) > 0:
		v.breach("%s: %s acknowledges %q, and there is no session", v.name, what, v.keys)
	}
	switch {
	case err != nil:
	case op == "Increment":
		v.account(id).counts++
	case op == "Update":
		v.account(id).marks = append(v.account(id).marks, arg)
	case op == "Take":
		if v.taken[arg]++; v.taken[arg] > 1 && v.lost == 0 {
			v.breach("%s: flash %s is taken once more", v.name, arg)
		}
	}
	v.doubt = v.doubt || refused(err) // by what it has itself written, and did not hear of, perhaps
	if err == nil || refused(err) {
		v.keys = nil
	}
}
