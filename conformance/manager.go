package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// A manager is a session.Manager in a trial. Its methods write down what is asked of it, before the calls of the
// backend that follow from it, and fail the case if something else comes back than their name says.
type manager struct {
	*session.Manager
	tr   *trial
	name string // goes before the names of methods in the steps
}

// managers returns a Manager over each of the target's clients, as two processes would have them.
func (tr *trial) managers(opts session.Options) (first, second manager) {
	return tr.manager(opts, nil), tr.second.manager(opts, nil)
}

// storeTimeout is far longer than a Manager's default: a machine that is busy makes no backend wrong.
const storeTimeout = 30 * time.Second

// manager returns a Manager over the client. before, if not nil, is called ahead of each of its calls.
func (c client) manager(opts session.Options, before func(call)) manager {
	opts.Now = c.tr.now
	if opts.StoreTimeout == 0 {
		opts.StoreTimeout = storeTimeout
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(context.Context, session.Event) {}
	}
	m, err := session.New(watched{c, before}, &opts)
	if err != nil {
		c.tr.failf("session.New failed: %v", err)
	}
	return manager{m, c.tr, c.name}
}

// now is the clock of the trial's Managers.
func (tr *trial) now() time.Time { return time.Now().Add(time.Duration(tr.ahead.Load())) }

// forward sets the clock of the Managers forward by d, and not that of the store.
func (tr *trial) forward(d time.Duration) {
	tr.stepf("the Managers' clock goes %v forward", d)
	tr.ahead.Add(int64(d))
}

// act has something done by a Manager, and expects the error want. what tells it in Go, as far as that is short.
func (tr *trial) act(want error, what string, f func() error) {
	if want == nil {
		tr.stepf("%s", what)
	} else {
		tr.stepf("%s, to fail with %s", what, showError(want))
	}
	if err := f(); !errors.Is(err, want) {
		tr.failf("%s returned another error, mismatch (-want +got):\n  - %s\n  + %s", what, showError(want), showError(err))
	}
}

// create returns a new session with these fields.
func (m manager) create(f fields) *session.Session { return m.createFor(f, 0) }

// createFor returns a new session that lives for ttl without being used.
func (m manager) createFor(f fields, ttl time.Duration) (s *session.Session) {
	m.tr.act(nil, fmt.Sprintf("%sCreate(%s, %v)", m.name, showFields(f), ttl), func() (err error) {
		s, err = m.Create(m.tr.ctx, f, ttl)
		return err
	})
	return s
}

// login returns a new session of owner's.
func (m manager) login(owner string) *session.Session {
	s := m.NewSession()
	s.Login(owner)
	m.tr.commit(fmt.Sprintf("%sLogin(%q) in a new session", m.name, owner), s)
	return s
}

// load returns the session that token names, as a request would have it.
func (m manager) load(token session.Token) (s *session.Session) {
	m.tr.act(nil, m.name+"Load("+showToken(token)+")", func() (err error) {
		s, err = m.Load(m.tr.ctx, token)
		return err
	})
	return s
}

// views returns the session that token names n times, as requests would have it that begin at the same time, in
// turn by this Manager and by other.
func (m manager) views(n int, token session.Token, other manager) []*session.Session {
	m.tr.stepf("the session %s is loaded %d times", showID(token.ID()), n)
	m.tr.hushed.Store(true)
	defer m.tr.hushed.Store(false)
	all := make([]*session.Session, n)
	for i := range all {
		s, err := []manager{m, other}[i%2].Load(m.tr.ctx, token)
		if err != nil {
			m.tr.failf("Load failed: %v", err)
		}
		all[i] = s
	}
	return all
}

// wantSession expects that token names a session with these fields, and returns that.
func (m manager) wantSession(token session.Token, want fields) (s *session.Session) {
	m.tr.act(nil, m.name+"Peek("+showToken(token)+")", func() (err error) {
		s, err = m.Peek(m.tr.ctx, token)
		return err
	})
	m.tr.wantData("Peek", s, want)
	return s
}

// wantNone expects that token names no session.
func (m manager) wantNone(what string, token session.Token) {
	m.tr.act(session.ErrNotFound, m.name+"Peek("+what+")", func() error {
		_, err := m.Peek(m.tr.ctx, token)
		return err
	})
}

// wantRefused is wantNone by a look that ends the session if the token was replaced.
func (m manager) wantRefused(what string, token session.Token) {
	m.tr.act(session.ErrNotFound, m.name+"Load("+what+")", func() error {
		_, err := m.Load(m.tr.ctx, token)
		return err
	})
}

// wantOwned expects owner to have these sessions, in whatever order.
func (m manager) wantOwned(owner string, want ...*session.Session) {
	infos := m.owned(owner)
	var got, ids []string
	for _, info := range infos {
		got = append(got, info.ID)
	}
	for _, s := range want {
		ids = append(ids, s.ID())
	}
	slices.Sort(got)
	slices.Sort(ids)
	if d := cmp.Diff(ids, got, cmpopts.EquateEmpty()); d != "" {
		m.tr.failf("Sessions returned others, mismatch (-want +got):\n%s", d)
	}
}

// owned returns what is known of owner's sessions.
func (m manager) owned(owner string) (infos []session.Info) {
	m.tr.act(nil, fmt.Sprintf("%sSessions(%q)", m.name, owner), func() (err error) {
		infos, err = m.Sessions(m.tr.ctx, owner)
		return err
	})
	return infos
}

// living returns those of some sessions whose token still names one, without a step.
func (m manager) living(all []*session.Session) (live []*session.Session) {
	m.tr.hushed.Store(true)
	defer m.tr.hushed.Store(false)
	for _, s := range all {
		switch _, err := m.Peek(m.tr.ctx, s.Token()); {
		case err == nil:
			live = append(live, s)
		case !errors.Is(err, session.ErrNotFound):
			m.tr.failf("Peek failed: %v", err)
		}
	}
	return live
}

// shutOut is what a request from before a login fails with: where there is a local cache, the Manager looks whether
// the request's token came from that, and finds that it is no session's any more.
func (tr *trial) shutOut() error {
	if c, ok := backend.As[backend.Cacher](tr.target.Backend); ok && c.Fresh() != nil {
		return session.ErrNotFound
	}
	return session.ErrConflict
}

// commit expects the Commit of a session to succeed. what says what was done to it.
func (tr *trial) commit(what string, s *session.Session) {
	tr.act(nil, what+", Commit()", func() error { return s.Commit(tr.ctx) })
}

// wantData expects a session to hold these fields.
func (tr *trial) wantData(what string, s *session.Session, want fields) {
	if d := cmp.Diff(want, maps.Collect(s.All()), cmpopts.EquateEmpty()); d != "" {
		tr.failf("%s returned other fields, mismatch (-want +got):\n%s", what, d)
	}
}

// equal expects two values to be the same.
func equal[T comparable](tr *trial, what string, got, want T) {
	if got != want {
		tr.failf("%s is another, mismatch (-want +got):\n  - %v\n  + %v", what, want, got)
	}
}

// owner returns a user that no other case has.
func (tr *trial) owner() string { return "user " + rand.Text()[:10] }

// token returns the token of this text.
func (tr *trial) token(text string) session.Token {
	token, err := session.ParseToken(text)
	if err != nil {
		tr.failf("ParseToken failed: %v", err)
	}
	return token
}

// forgedToken returns a token that nobody was given, for the session with this ID.
func (tr *trial) forgedToken(id string) session.Token { return tr.token(id + strings.Repeat("A", 27)) }

// freshID returns an ID that a session may have, and none has.
func (tr *trial) freshID() string { return tr.own(rand.Text()[:16]) }

// isSession tells a session's record from the Manager's others by its ID.
func isSession(id string) bool { return len(id) == len("3q2-7wAAAAAAAAAB") }

// errOver ends what a Manager is busy with once the case has its verdict, however often that tries.
var errOver = errors.New("the case is over")

// call is a call of a backend.
type call struct {
	method, id string
	patch      backend.Patch
}

// watched is a client as the backend below a Manager. It writes each call down as a step, unless goroutines run
// at the same time, and sees to it that what the Manager has stored is deleted at the end of the case.
type watched struct {
	client
	before func(call)
}

// Unwrap returns the backend, for its optional parts.
func (w watched) Unwrap() backend.Backend { return w.b }

// Fresh returns the backend that reads past a local cache, watched too, or nil if there is none.
func (w watched) Fresh() backend.Backend {
	c, ok := backend.As[backend.Cacher](w.b)
	if !ok {
		return nil
	}
	fresh := w.client
	if fresh.b = w.tryFresh(c); fresh.b == nil {
		return nil
	}
	return watched{fresh, w.before}
}

func (w watched) Create(ctx context.Context, id string, rec backend.Record) (err error) {
	defer w.caught(&err)
	w.begin(call{method: "Create", id: id})
	w.tr.own(id)
	err = w.with(ctx).tryCreate(id, rec)
	w.stepf("%s = %s", callCreate(id, rec), showError(err))
	return err
}

func (w watched) Load(ctx context.Context, id string) (rec backend.Record, err error) {
	defer w.caught(&err)
	w.begin(call{method: "Load", id: id})
	rec, err = w.with(ctx).tryLoad(id)
	w.stepf("%s = %s", callLoad(id), showResult(rec, err))
	return rec, err
}

func (w watched) Apply(ctx context.Context, id string, p backend.Patch) (rec backend.Record, err error) {
	defer w.caught(&err)
	w.begin(call{method: "Apply", id: id, patch: p})
	rec, err = w.with(ctx).tryApply(id, p)
	w.stepf("%s = %s", callApply(id, p), showResult(rec, err))
	return rec, err
}

func (w watched) Delete(ctx context.Context, id string) (err error) {
	defer w.caught(&err)
	w.begin(call{method: "Delete", id: id})
	err = w.with(ctx).tryDelete(id)
	w.stepf("%s = %s", callDelete(id), showError(err))
	return err
}

// maxCalls is how many calls of the backend a case may make, many times what any needs. A Manager goes on for as
// long as a backend tells it that somebody else was faster, by Options.StoreTimeout; in a bubble that never ends.
const maxCalls = 1 << 14

// begin begins a call, unless the case has its verdict already.
func (w watched) begin(c call) {
	if w.tr.over() {
		panic(stop{})
	}
	if w.tr.progress.Load() >= maxCalls {
		w.tr.failf("a Manager has called the backend %d times and goes on: what it is told contradicts itself", maxCalls)
	}
	if w.before != nil {
		w.before(c)
	}
}

// caught makes an error of a panic, because the goroutine may be the Manager's own. The verdict is there then.
func (w watched) caught(err *error) {
	r := recover()
	if r == nil {
		return
	}
	if r != (stop{}) {
		w.tr.end(verdict{failure: fmt.Sprintf("panic: %v\n\n%s", r, debug.Stack())})
	}
	*err = errOver
}

func (w watched) stepf(format string, args ...any) {
	if !w.tr.hushed.Load() {
		w.tr.stepf("    "+w.name+format, args...)
	}
}

func showToken(token session.Token) string { return "token of " + showID(token.ID()) }
