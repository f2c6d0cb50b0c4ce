package session

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// Session is one visitor's session as one request, or one caller outside of HTTP, sees it: what was loaded,
// with the changes made since. Changes gather in it and are stored together by Commit, which
// [Manager.Handler] calls before the first byte of the response.
//
// A Manager makes them; the zero Session is of no use. It is safe for concurrent use. It has no printable form that
// holds its token or its data: fmt and slog show the public ID.
type Session struct {
	// Behind a pointer, because fmt, given a verb that does not fit, prints the fields of a Session that it
	// finds in another type's unexported field, and does not follow pointers there.
	*state
}

// state is what a Session holds.
type state struct {
	m *Manager

	mu      sync.Mutex
	token   string // as presented or given out; "" while there is no record
	stored  bool   // there was a record when last looked at
	sealed  bool   // the response has begun
	touched bool   // it was, when it was read
	peeked  bool   // neither is it touched by a commit, nor does the rotation timer run
	cached  bool   // it may come from a local cache
	timed   bool   // the token is one that the timer gave out, in this request
	over    bool   // the handler has returned

	tooLarge bool // Commit has told that what has gathered is too large, and nothing was set since

	presented bool         // the request came with a cookie
	behind    bool         // the cookie's token was replaced just now, by a login or a rotation
	cookie    cookieChange // what the client is to be told
	fields    fields
	ttl       time.Duration
	meta

	pending
	guard  *guard  // of an Update, while it commits
	mishap *mishap // nil if all goes well
}

// mishap is what few sessions have.
type mishap struct {
	misuse error  // the first one, which fails the commit
	left   string // the session that a login of this request has linked, and then did not get
}

// firstMisuse returns the first misuse.
func (s *state) firstMisuse() error {
	if s.mishap == nil {
		return nil
	}
	return s.mishap.misuse
}

// left returns the session that a login of this request has linked, and then did not get.
func (s *state) left() string {
	if s.mishap == nil {
		return ""
	}
	return s.mishap.left
}

// ensureMishap returns the mishap, made if there is none.
func (s *state) ensureMishap() *mishap {
	if s.mishap == nil {
		s.mishap = new(mishap)
	}
	return s.mishap
}

// pending is what a Session has gathered and not stored yet.
type pending struct {
	dirty    *names // application fields that were set or deleted
	owner    string
	newTTL   bool
	login    bool // give the session to owner, with a new token
	others   bool // the session is another owner's: it ends, and owner gets a new one
	remember bool // by the longer timeouts
	rotate   bool // a new token
}

func (p *pending) any() bool {
	return len(p.dirty.all()) > 0 || p.newTTL || p.login || p.remember || p.rotate
}

// cookieChange is what a response has to do to the client's cookie.
type cookieChange uint8

const (
	keepCookie cookieChange = iota
	setCookie
	clearCookie
)

// ID returns the session's public ID, or "" if it is not stored yet. It stays the same for the whole life of
// the session, through logins and rotations, and is safe in a log or on a page.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id()
}

func (s *Session) id() string {
	if s.token == "" {
		return ""
	}
	return s.token[:idLen]
}

// Exists reports whether the session is stored. It is false for a visitor without a session until the first
// commit that has something to store, and after Destroy.
func (s *Session) Exists() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

// Token returns the session's token, the zero Token if it is not stored yet. After Login and Rotate, it is
// the old token until the commit.
func (s *Session) Token() Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == "" {
		return Token{}
	}
	token := s.token
	return Token{s: &token}
}

// Get returns the field's value, or "" if there is none. Reserved fields have methods of their own and are not
// seen here.
func (s *Session) Get(name string) string {
	v, _ := s.Lookup(name)
	return v
}

// Lookup returns the field's value and whether it is there.
func (s *Session) Lookup(name string) (string, bool) {
	if reserved(name) {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fields.get(name)
}

// All returns the application's fields as they were when the iteration began, in no order.
func (s *Session) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		s.mu.Lock()
		fields := make(map[string]string)
		for name, value := range s.fields.all {
			if !reserved(name) {
				fields[name] = value
			}
		}
		s.mu.Unlock()
		for name, value := range fields {
			if !yield(name, value) {
				return
			}
		}
	}
}

// Set gives a field a value, arbitrary bytes, with the next commit. Only fields that were set or deleted are written,
// so requests that change different fields never lose each other's changes. Of two that set the same field, the last
// one wins: see Update.
//
// A reserved name (ErrReserved), a session over its limits (ErrTooLarge) and a response that has begun
// (ErrCommitted) make the commit fail with nothing written. Err tells at once of the first and the last; whether the
// session is too large is seen at the commit, because a later Delete may make room.
func (s *Session) Set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mayChange(name) {
		return
	}
	s.fields.put(name, value)
	s.markDirty(name)
}

// Delete takes a field away with the next commit. It can go wrong as Set can.
func (s *Session) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mayChange(name) {
		return
	}
	s.fields.remove(name)
	s.markDirty(name)
}

func (s *Session) markDirty(name string) {
	if s.dirty == nil {
		s.dirty = new(names)
	}
	s.dirty.add(name)
}

// mayChange reports whether the application may write the field now, and remembers why not.
func (s *Session) mayChange(name string) bool {
	if reserved(name) {
		s.misuse(fmt.Errorf("field %q: %w", name, ErrReserved))
		return false
	}
	return s.open("field ", name)
}

// open reports whether the session may still be changed, and remembers it if not, with what was to be changed.
func (s *Session) open(what, name string) bool {
	s.tooLarge = false
	if !s.sealed {
		return true
	}
	if name != "" {
		what += strconv.Quote(name)
	}
	s.misuse(fmt.Errorf("%s: %w", what, ErrCommitted))
	return false
}

func (s *Session) misuse(err error) {
	if s.firstMisuse() != nil {
		return
	}
	s.ensureMishap().misuse = err
	if s.over { // nobody looks at Err any more
		s.m.emit(context.Background(), Event{
			Kind: EventLateChange, ID: s.id(), Owner: s.meta.owner, Err: wrap("change", s.id(), err),
		})
	}
}

// Err returns the first misuse of the session that makes its commit fail, if there was one: ErrReserved,
// ErrCommitted, or ErrNoOwner. It cannot be taken back: check what users enter before.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wrap("change", s.id(), s.firstMisuse())
}

// TTL returns how long the session lives without being used: Options.IdleTimeout, or what SetTTL said. What Login and
// Remember make of it shows after their commit.
func (s *Session) TTL() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttl
}

// SetTTL gives this session another idle timeout, with the next commit and counted from then. It is a whole
// number of seconds, at least one, or the error is ErrTTL and nothing changes; it is ErrCommitted once the response has
// begun. The absolute timeout still holds.
func (s *Session) SetTTL(ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !validTTL(ttl) {
		return wrap("set TTL", s.id(), ErrTTL)
	}
	if !s.open("TTL", "") {
		return wrap("set TTL", s.id(), ErrCommitted)
	}
	s.ttl, s.newTTL = ttl, true
	return nil
}

// Remaining returns how long the session lives if it is not used again, the shorter of what is left of its
// idle and of its absolute timeout, at least zero. The store counts from the same touch, up to a second later:
// times in the record are whole seconds. It is zero for a session that is not stored.
func (s *Session) Remaining() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stored {
		return 0
	}
	return min(max(0, s.m.opts.expiry(s.meta, s.ttl).Sub(s.m.opts.Now())), s.ttl)
}

// CreatedAt returns when the session was created, UTC, in whole seconds; the zero time if it is not stored yet.
func (s *Session) CreatedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created.time()
}

// LastAccessedAt returns when the session was last touched, UTC, in whole seconds; the zero time if it is not
// stored yet.
func (s *Session) LastAccessedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accessed.time()
}

// Owner returns whose session it is: what Login was given, or "" before a login.
func (s *Session) Owner() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ownerNow()
}

func (s *Session) ownerNow() string {
	if s.loggingIn() {
		return s.pending.owner
	}
	return s.meta.owner
}

// loggingIn reports whether a Login waits for its commit.
func (s *Session) loggingIn() bool { return s.login && !s.sealed }

// AuthenticatedAt returns when the owner logged in, UTC, in whole seconds; the zero time before a login, and while a
// Login of another owner waits for its commit. Only Login sets it, with the commit. To ask for a new login before
// something that matters, see AuthenticatedWithin.
func (s *Session) AuthenticatedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.others {
		return time.Time{}
	}
	return s.authenticated.time()
}

// Login makes the session owner's with the next commit: a new token is given out and the old one dies at once, so that
// nobody who knew or planted it before the login (session fixation) has the session after it. What the session holds is
// kept, a cart that was filled before the login for example. Requests that began before the login cannot write after
// it: they fail with ErrConflict. For Options.RotateGrace, so do those that still come with the old token, unless they
// log in, too. The absolute timeout starts over, and the session is remembered only if Remember is called too. owner is
// any text that names the user for good, an account's number for example; it must not be empty.
//
// If the session is another owner's, nothing of it is kept: its fields are gone at once, and the commit ends it and
// makes a new session that holds only what this request has set.
//
// What the commit does where something comes between:
//
//   - The session has ended, or another login was faster: it makes a new session that holds only what this request has
//     set.
//   - All of owner's sessions are ended, by Manager.RevokeAll for example: it fails with ErrConflict, and this session
//     is ended too.
//   - The owner has Options.MaxSessions already: the oldest are ended, or with Options.RefuseLogin it fails with
//     ErrTooManySessions. That drops the login, with all that was to be stored with it: for another try, call Login and Set
//     again. A session that was another owner's has ended by then.
//   - The login was stored, and the store does not tell whether it is in the owner's list: it fails, and the session is
//     ended; another commit makes a new one of what this request has set.
//
// The session's TTL is what this request has read or set, whatever another has set meanwhile, unless Remember, or its
// absence, changes whether the session is remembered: then it is the default of that kind, or what SetTTL says in the
// same commit. See OWASP ASVS 5.0, 7.2.4.
func (s *Session) Login(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner == "" {
		s.misuse(ErrNoOwner)
		return
	}
	if !s.open("login", "") {
		return
	}
	s.login, s.pending.owner = true, owner
	if s.meta.owner != "" && s.meta.owner != owner {
		s.others = true
		s.forget()
	}
}

// forget drops the application's fields that this request has not set.
func (s *Session) forget() {
	maps.DeleteFunc(s.fields.changeable(), func(name, _ string) bool {
		return !s.dirty.has(name) && (name == fieldLabel || !reserved(name))
	})
}

// Remember keeps the session by Options.RememberIdleTimeout and RememberAbsoluteTimeout, and its cookie beyond
// the browser's end, with the next commit: "keep me logged in". It is for a login; called without one, it does
// not start the absolute timeout over, and if a rotation has just replaced the request's token, the cookie is kept only
// from the next rotation on. A TTL from SetTTL takes precedence: one set in the same commit, or, if the session was
// remembered already, one set before.
func (s *Session) Remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open("remember", "") {
		s.remember = true
	}
}

// Remembered reports whether the longer timeouts hold for the session.
func (s *Session) Remembered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remember || s.remembered && !s.login
}

// maxLabel is how long a label may be, in bytes: a longer value would double the record's size in Redis.
const maxLabel = 64

// SetLabel gives the session a name for a list of its owner's sessions, "Firefox on Linux" for example, with the
// next commit. It is cut to 64 bytes: too few of a raw User-Agent to tell browsers apart.
func (s *Session) SetLabel(label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open("label", "") {
		return
	}
	for len(label) > maxLabel {
		_, size := utf8.DecodeLastRuneInString(label)
		label = label[:len(label)-size]
	}
	s.fields.put(fieldLabel, label)
	s.markDirty(fieldLabel)
}

// Label returns what SetLabel was given.
func (s *Session) Label() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fields.value(fieldLabel)
}

// Rotate replaces the token with the next commit. The old one dies at once, and so do the changes of requests
// that began before: they fail with ErrConflict, as with Login. Call it where the session's privileges change without a
// login; it leaves no grace, unlike the timer of Options.RotateInterval. A session that is not stored has no token
// to replace, and gets one when it is.
func (s *Session) Rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open("rotation", "") {
		s.rotate = true
	}
}

// String returns a text for people that holds the public ID and neither token nor data.
func (s *Session) String() string {
	if id := s.ID(); id != "" {
		return "session " + id
	}
	return "new session"
}

// Format writes what String returns, for every verb and flag.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue returns the public ID, for log/slog.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.ID()) }
