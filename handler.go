package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ctxKey is where a Manager keeps a request's exchange, so that several Managers get along.
type ctxKey struct{ m *Manager }

// Handler returns a handler that gives the requests it passes to next a session, which [Manager.Get] returns.
//
// The session is read from the store when it is first asked for; a request that never asks costs nothing. What
// has changed is stored in one round trip before the first byte of the response, however next begins it, so
// that whoever sees the response finds the change made. If the session cannot be read or stored,
// Options.ErrorHandler answers, and nothing of next's response is sent, nor any header that it has set: what such an
// answer needs too, for CORS or with the request's ID, is to be set outside.
//
// If next panics, what has not been stored is dropped and the panic goes on. Nothing more is stored of the Session
// then, whatever it shows. A Destroy, and an Increment, are done at once and stay done: the client is told of a token
// that they have stored. A Handler of the same Manager inside another does nothing.
//
// The response writer that next gets can do what the one outside can: Flush, Hijack, ReadFrom, deadlines and full
// duplex, also by [http.ResponseController], but not Push. Whoever takes the connection over with Hijack sends the
// cookie by himself: after Commit, have [Manager.WriteCookie] write it into the header of the answer, of a WebSocket's
// upgrade for example.
//
// These belong outside:
//
//   - What recovers: inside, as in a router that this one is wrapped around, it would have the changes of a failed
//     request stored.
//   - What writes in a deferred call, as many that compress do: it would, too.
//   - [http.MaxBytesHandler]: inside, it cannot have the connection closed after its 413.
//
// [http.TimeoutHandler] belongs nowhere: inside, its 503 commits what next has done so far; outside, next goes on after
// it, and a Login or Rotate then leaves the client with a token that is dead. Give the request's context a deadline
// instead; what is stored goes on for up to Options.StoreTimeout all the same.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(next, w, r) })
}

// serve passes a request to next with a session.
func (m *Manager) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if exchangeOf(r.Context(), m) != nil {
		next.ServeHTTP(w, r)
		return
	}
	memory := &requestMemory{exchange: exchange{ResponseWriter: w, m: m, above: r.Context()}}
	x := &memory.exchange
	x.session.state = &memory.state
	if len(w.Header()) > 0 {
		x.before = w.Header().Clone()
	}
	memory.request = *r.WithContext((*exchangeContext)(x)) // inlined, it makes its copy on the stack
	x.r = &memory.request
	defer x.leave(r)
	next.ServeHTTP(x, x.r)
	x.finish()
}

// Get returns the session of a request that passed through Handler, always the same one. A visitor without a
// session gets an empty one, which is stored with the first change.
//
// The error says that the store did not answer, or holds what cannot be read; it is never ErrNotFound. The
// handler should return: Options.ErrorHandler answers then, whatever the handler writes, unless the response has begun.
// It does so too if the commit fails at the end. An error of a call that goes to the store at once, as Increment, is
// the handler's to answer.
//
// If it is first called after the response has begun, the session is read, and touched if that is due, but takes no
// changes, and the response says nothing of it: no Vary, no new token.
//
// ErrNoHandler says that the request did not pass through Handler, and so does an event: nobody else answers then.
func (m *Manager) Get(r *http.Request) (*Session, error) {
	s, err := m.FromContext(r.Context())
	if errors.Is(err, ErrNoHandler) {
		m.emit(r.Context(), Event{Kind: EventMisuse, Err: err})
	}
	return s, err
}

// FromContext is Get for code that has the request's context and not the request, as net/http gives it: frameworks have
// contexts of their own. ErrNoHandler is no event here.
// The first call reads the session, within the deadline of its ctx, and all others return what that has found.
func (m *Manager) FromContext(ctx context.Context) (*Session, error) {
	x := exchangeOf(ctx, m)
	if x == nil {
		return nil, wrap("get", "", ErrNoHandler)
	}
	return x.get(ctx)
}

// leave hands back what net/http looks for in the request that it made. Where next has panicked, it drops what has not
// been stored and tells the client of a token that was; where it has done so because the error handler had answered in
// its place, all is well.
func (x *exchange) leave(r *http.Request) {
	if r.MultipartForm == nil {
		r.MultipartForm = x.r.MultipartForm // net/http removes its temporary files
	}
	if r.Pattern == "" {
		r.Pattern = x.r.Pattern
	}
	var late *Event
	defer func() { x.tell(late) }()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.begun && !x.finished {
		late = x.end()
	}
	if x.answered { // as httputil.ReverseProxy does, which could not write
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}
	if x.begun {
		return
	}
	// Whoever recovers outside may answer through this writer, as Echo does, or hold the session: neither commits it.
	x.begun = true
	defer x.committed.Store(true)
	if c := x.session.drop(); x.asked && x.loadErr == nil {
		x.header(c)
	}
}

// drop drops what has not been stored, for good, and returns what to do to the cookie.
func (s *Session) drop() cookie {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending, s.sealed, s.over = (pending{}), true, true; s.m != nil && !s.stored {
		s.reset()
	}
	return s.cookieNow()
}

func exchangeOf(ctx context.Context, m *Manager) *exchange {
	x, _ := ctx.Value(ctxKey{m}).(*exchange)
	return x
}

// exchange is one request with its response and its session.
type exchange struct {
	http.ResponseWriter
	m      *Manager
	above  context.Context // of the request as it came
	r      *http.Request
	before http.Header // the response's header as it was before next, nil if empty
	vary   [1]string   // memory for a line of the response's header

	mu        sync.Mutex
	asked     bool        // for the session
	begun     bool        // the response has begun
	finished  bool        // the handler has returned
	answered  bool        // by the error handler
	committed atomic.Bool // begin has nothing more to do, and failed does not change any more
	session   Session
	loadErr   error
	failed    error // why it is the error handler's
}

// requestMemory is what the middleware needs for a request, allocated at once. The exchange, which is what fmt prints
// of a response writer, holds pointers to the others only.
type requestMemory struct {
	exchange exchange
	state    state
	request  http.Request
}

// exchangeContext is an exchange as the context of its request, which so takes no memory of its own.
type exchangeContext exchange

func (c *exchangeContext) Deadline() (time.Time, bool) { return c.above.Deadline() }
func (c *exchangeContext) Done() <-chan struct{}       { return c.above.Done() }
func (c *exchangeContext) Err() error                  { return c.above.Err() }

// Value returns the exchange to its Manager.
func (c *exchangeContext) Value(key any) any {
	if k, ok := key.(ctxKey); ok && k.m == c.m {
		return (*exchange)(c)
	}
	return c.above.Value(key)
}

// String keeps the request and its headers out of what fmt prints of a context.
func (c *exchangeContext) String() string { return fmt.Sprint(c.above) + ".WithSession" }

// Format writes what String returns, for every verb and flag.
func (c *exchangeContext) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// get loads the session once.
func (x *exchange) get(ctx context.Context) (*Session, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.asked {
		return x.result()
	}
	x.asked = true
	x.session.m, x.session.ttl, x.session.sealed = x.m, x.m.opts.IdleTimeout, x.begun
	// A client of the store that looks for the session in its context must not wait for itself.
	if c, ok := ctx.(*exchangeContext); ok && (*exchange)(c) == x {
		ctx = x.above
	} else {
		ctx = hookContext{ctx, x.m}
	}
	token, p := x.m.opts.Cookie.find(x.r.Header)
	x.session.presented = p != noCookie
	switch p {
	case goodCookie:
		x.load(ctx, token)
	case badCookie:
		x.m.emit(ctx, Event{Kind: EventRejectedCookie})
	}
	return x.result()
}

// errPanicked is what is left of a call to the store that has not returned.
var errPanicked = errors.New("the store panicked")

// load reads the session that token names. A session that is first read after the response has begun is in use all the
// same, and touched if that is due.
func (x *exchange) load(ctx context.Context, token string) {
	returned := false
	defer func() {
		if !returned { // and the panic goes on
			x.loadErr = x.m.storeFailed(ctx, "load", token[:idLen], errPanicked)
		}
	}()
	err := x.session.load(ctx, token, x.m.opts.TouchInterval < 0)
	switch {
	case err == nil && x.begun:
		_, _ = x.session.commit(ctx, "", 0) // the hook is told of what fails
	case !errors.Is(err, ErrNotFound):
		x.loadErr = err
	}
	returned = true
}

func (x *exchange) result() (*Session, error) {
	if x.loadErr != nil {
		return nil, x.loadErr
	}
	return &x.session, nil
}

// begin commits the session before the response begins, once, and reports why the response is not the
// handler's, if it is not.
func (x *exchange) begin() error {
	if x.committed.Load() {
		return x.failed
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.begun {
		return x.failed
	}
	x.begun = true
	defer x.committed.Store(true)
	if !x.asked {
		return nil
	}
	if x.loadErr != nil {
		x.fail(cookie{}, x.loadErr)
		return x.failed
	}
	returned := false
	defer func() {
		if !returned { // the store has panicked, and that goes on
			id := x.session.ID()
			x.fail(x.session.drop(), x.m.storeFailed(x.above, "commit", id, errPanicked))
		}
	}()
	c, err := x.session.seal(x.above)
	returned = true
	if err != nil {
		x.fail(c, err)
		return x.failed
	}
	x.header(c)
	return nil
}

// header writes what the session has to say into the response's header.
func (x *exchange) header(c cookie) {
	h := x.ResponseWriter.Header()
	addVary(h, &x.vary)
	x.m.writeCookie(h, c)
	if c.change == keepCookie {
		return
	}
	// A Handler of another Manager outside, should it fail, is to leave the cookie.
	for w := x.ResponseWriter; w != nil; w = unwrap(w) {
		if outer, ok := w.(*exchange); ok {
			if outer.before == nil {
				outer.before = make(http.Header)
			}
			x.m.writeCookie(outer.before, c)
		}
	}
}

// fail has the error handler answer in the handler's place, with the header as it was before the handler. What has
// been stored before, a new token for example, the client is told all the same.
func (x *exchange) fail(c cookie, err error) {
	x.failed = err
	if misused(err) {
		x.m.emit(x.r.Context(), Event{Kind: EventMisuse, ID: x.session.ID(), Err: err})
	}
	h := x.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, x.before)
	x.header(c)
	answered := false // it may give up, by a panic
	x.mu.Unlock()     // it may ask for the session
	defer func() {
		x.mu.Lock()
		x.answered = answered
	}()
	x.m.opts.ErrorHandler(x.ResponseWriter, x.r, err)
	answered = true
}

// finish begins the response if the handler has not, and reports what came too late.
func (x *exchange) finish() {
	_ = x.begin()
	x.mu.Lock()
	late := x.end()
	x.finished = true
	x.mu.Unlock()
	x.tell(late)
}

// end notes that the handler has returned, or panicked, and returns what there is to be told. x.mu is held: a goroutine
// of the handler may be about to ask for the session.
func (x *exchange) end() *Event {
	used := x.asked && x.loadErr == nil
	if err := x.session.end(); used && errors.Is(err, ErrCommitted) {
		return &Event{Kind: EventLateChange, ID: x.session.ID(), Err: err}
	}
	return nil
}

// tell tells the hook of e, unless it is nil.
func (x *exchange) tell(e *Event) {
	if e != nil {
		x.m.emit(x.r.Context(), *e)
	}
}

// end notes that the handler has returned, and returns what Err does.
func (s *Session) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return wrap("change", s.id(), s.firstMisuse())
}

// cookie is what the client is to be told.
type cookie struct {
	change cookieChange
	token  string
	age    time.Duration // how long to keep it, zero for until the browser is closed
}

// seal commits the session for the last time and returns what to do to the cookie.
func (s *Session) seal(ctx context.Context) (cookie, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tooLarge {
		s.dropPending(ctx)
	}
	_, err := s.commit(ctx, "", 0)
	if s.sealed = true; err == nil {
		s.pending = pending{} // of a visitor without a session, Remember waits otherwise
	}
	return s.cookieNow(), err
}

// cookieNow returns what the client is to be told now.
func (s *Session) cookieNow() cookie {
	c := cookie{change: s.cookie}
	if s.timed && s.m.opts.heldTooLong(s.m.opts.Now(), s.meta) {
		c.change = keepCookie
	}
	if c.change == setCookie {
		c.token, c.age = s.token, s.cookieAge()
	}
	return c
}

// WriteCookie adds to h what the client has to be told of s: a Set-Cookie with its token if it was created,
// logged in, rotated or remembered, one that deletes the cookie if s has ended it. Call it after Commit, before the
// response begins. Handler does it by itself. A response that depends on s also needs Vary: Cookie, which Handler adds.
func (m *Manager) WriteCookie(h http.Header, s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.writeCookie(h, s.cookieNow())
}

func (m *Manager) writeCookie(h http.Header, c cookie) {
	switch c.change {
	case setCookie:
		m.opts.Cookie.write(h, c.token, c.age)
	case clearCookie:
		m.opts.Cookie.clear(h)
	}
}

// cookieAge returns how long the client is to keep the cookie, zero for until it is closed.
func (s *Session) cookieAge() time.Duration {
	if !s.remembered {
		return 0
	}
	return max(time.Second, s.m.opts.lifetimeEnd(s.meta).Sub(s.m.opts.Now()))
}

// ClearCookie adds a Set-Cookie to h that deletes the session cookie.
func (m *Manager) ClearCookie(h http.Header) { m.opts.Cookie.clear(h) }

// AddCookie adds the cookie of s to a request, as the browser sends it, in place of one that is there: for tests of
// handlers. It panics if s is not stored: commit it before.
func (m *Manager) AddCookie(r *http.Request, s *Session) {
	if !s.Exists() {
		panic("session: AddCookie of a session that is not stored: call Commit before")
	}
	before := r.Cookies()
	r.Header.Del("Cookie") // what is malformed, too
	for _, c := range before {
		if c.Name != m.opts.Cookie.Name {
			r.AddCookie(c)
		}
	}
	r.AddCookie(&http.Cookie{Name: m.opts.Cookie.Name, Value: s.Token().Reveal()})
}

// RequestToken returns the token in the request's session cookie. It reports false if there is none, if it is
// malformed, or if there are several cookies of the name, as a neighbour below the same domain may plant them.
func (m *Manager) RequestToken(r *http.Request) (Token, bool) {
	token, p := m.opts.Cookie.find(r.Header)
	if p != goodCookie {
		return Token{}, false
	}
	return Token{s: &token}, true
}

// applications are the errors that the application has to see to.
var applications = []error{
	ErrReserved, ErrTooLarge, ErrNoOwner, ErrCommitted, ErrCounter, ErrDecode, ErrNoField, ErrTTL, ErrNoHandler,
	ErrUnsupported, errNoForm,
}

// DefaultErrorHandler answers 503 Service Unavailable if the store failed, 409 Conflict if the session ended or
// changed hands while the request ran, so that its changes were not stored, or if a login is one too many, and 500
// Internal Server Error if the application misused the session, or a field holds what it is not to. It shows nothing of
// the error. Handlers may call it themselves with what Session.Increment and its neighbours return.
func DefaultErrorHandler(w http.ResponseWriter, _ *http.Request, err error) {
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict), errors.Is(err, ErrTooManySessions):
		code = http.StatusConflict
	case slices.ContainsFunc(applications, func(e error) bool { return errors.Is(err, e) }):
		code = http.StatusInternalServerError
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(code), code)
}
