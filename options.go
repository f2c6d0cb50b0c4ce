package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Options configures a Manager. The zero value of each field asks for its default; New checks the rest and
// keeps a copy.
type Options struct {
	// IdleTimeout is how long a session may go unused before it ends, unless Session.SetTTL gives it another
	// time to live. Whole seconds. If zero, 30 minutes. A session keeps the one that it was made with. See OWASP ASVS
	// 5.0, 7.3.1.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long a session may live at all, counted from its creation or its last login,
	// however much it is used. Whole seconds, at least IdleTimeout. If zero, 12 hours, or IdleTimeout if that is
	// longer. Give all Managers of a store the same: a longer one applies to sessions that exist already, too, which
	// may then be missing from their owner's list. See OWASP ASVS 5.0, 7.3.2.
	AbsoluteTimeout time.Duration

	// RememberIdleTimeout and RememberAbsoluteTimeout stand in for the two above in sessions of which
	// Session.Remember was called ("keep me logged in"). Whole seconds, not shorter than those, and the second not
	// shorter than the first. If zero, 14 days and 30 days, or as long as they must be at least.
	RememberIdleTimeout     time.Duration
	RememberAbsoluteTimeout time.Duration

	// RotateInterval is the age at which a token is replaced by a new one, with the next response, so that a stolen one
	// soon shows: if the replaced token is presented later than RotateGrace after its successor was, somebody has a
	// copy of it, and the session ends. Only the last replaced token counts so: an older one is just refused, with an
	// EventMismatch. Do not present a token for longer than a request, as from a WebSocket: see Session.Alive. Outside
	// of Handler, Commit replaces tokens, and it or a call by token notes, in one more round trip, that the successor
	// was presented: call Commit after each Manager.Load. At least RotateGrace. If zero, tokens are replaced by Login
	// and Rotate alone. The clocks of the servers that share the store must agree much better than within RotateGrace,
	// which is shorter by as much as they differ.
	RotateInterval time.Duration

	// RotateGrace is for how long a token that a timed rotation has replaced is still good after its successor
	// was first presented, for requests that were under way; until then it is good in any case, because the
	// response with the new one may have been lost. Up to a second more, since times in records are whole seconds. At
	// least a second. If zero, 10 seconds.
	//
	// For as long after a login or a rotation by hand, a request with the token before it, which is worth nothing any
	// more, makes no new session: ErrConflict.
	RotateGrace time.Duration

	// MaxSessions is how many sessions an owner may have at a time, see Session.Login. If zero, any number. A login
	// that failed after it was entered into the owner's list may still count for a minute.
	MaxSessions int

	// RefuseLogin has a login past MaxSessions fail with ErrTooManySessions. Otherwise it ends the owner's
	// oldest sessions.
	RefuseLogin bool

	// TouchInterval is how often, at the most, reading a session starts its idle timeout over in the store. A
	// session never outlives its idle timeout, but may end up to one interval early, and a second, since times in
	// records are whole seconds. At most half of IdleTimeout. If zero, a thirtieth of the session's time to live, and
	// at most one minute. If negative, every read does, in the same round trip.
	TouchInterval time.Duration

	// StoreTimeout bounds a commit, and whatever ends sessions, which do not stop with the request's context: a client
	// that goes away does not undo what was done. It also bounds for how long Take and Update try again. Reading, and
	// what changes a session by its token, end with their context alone. If zero, 5 seconds.
	StoreTimeout time.Duration

	// MaxFields is how many fields the application may keep in a session. If zero, 64. It and MaxBytes are checked
	// against the session as the request read it: parallel requests that add fields may exceed them together.
	MaxFields int

	// MaxBytes is how long the names and values of those fields may be together, in bytes. If zero, 64 KiB.
	MaxBytes int

	// Cookie is how the token travels.
	Cookie CookieOptions

	// ErrorHandler answers a request whose session could not be loaded or stored, in place of the handler's
	// answer, of which nothing is sent. It is to write a status: net/http sends 200 OK otherwise. It may ask for the
	// session: Manager.Get returns what it has returned before. It is called for several requests at a time. If nil,
	// DefaultErrorHandler.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

	// OnEvent is told what happens to sessions, in the goroutine in which it happens, so in several at a time. The
	// session is blocked until the hook returns, so that the hook must neither use it nor wait for it;
	// Manager.FromContext(ctx) does not return it. A panic in the hook is dropped. If nil, what may need somebody's
	// attention is logged to slog.Default(), as LogEvents does it.
	OnEvent func(ctx context.Context, e Event)

	// Now is the clock of the Manager; the backend has its own. If nil, time.Now. It is there for tests, must be later
	// than 1970, and is called by several goroutines at a time.
	Now func() time.Time
}

// Defaults of Options.
const (
	DefaultIdleTimeout             = 30 * time.Minute
	DefaultAbsoluteTimeout         = 12 * time.Hour
	DefaultRememberIdleTimeout     = 14 * 24 * time.Hour
	DefaultRememberAbsoluteTimeout = 30 * 24 * time.Hour
	DefaultRotateGrace             = 10 * time.Second
	DefaultStoreTimeout            = 5 * time.Second
	DefaultMaxFields               = 64
	DefaultMaxBytes                = 64 << 10
)

// The longest timeouts that NIST SP 800-63B-4 names for its authentication assurance levels (sections 2.1.3,
// 2.2.3 and 2.3.3). Level 1 asks for no idle timeout.
const (
	AAL1AbsoluteTimeout = 30 * 24 * time.Hour
	AAL2IdleTimeout     = time.Hour
	AAL2AbsoluteTimeout = 24 * time.Hour
	AAL3IdleTimeout     = 15 * time.Minute
	AAL3AbsoluteTimeout = 12 * time.Hour
)

// complete returns a copy of o with its defaults filled in, or an error that names the option that is wrong.
func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	c.AbsoluteTimeout = cmp.Or(c.AbsoluteTimeout, max(DefaultAbsoluteTimeout, c.IdleTimeout))
	c.RememberIdleTimeout = cmp.Or(c.RememberIdleTimeout, max(DefaultRememberIdleTimeout, c.IdleTimeout))
	c.RememberAbsoluteTimeout = cmp.Or(c.RememberAbsoluteTimeout,
		max(DefaultRememberAbsoluteTimeout, c.AbsoluteTimeout, c.RememberIdleTimeout))
	c.RotateGrace = cmp.Or(c.RotateGrace, DefaultRotateGrace)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, DefaultStoreTimeout)
	c.MaxFields = cmp.Or(c.MaxFields, DefaultMaxFields)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	if c.ErrorHandler == nil {
		c.ErrorHandler = DefaultErrorHandler
	}
	if c.OnEvent == nil {
		c.OnEvent = LogEvents(nil)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.check(); err != nil {
		return Options{}, err
	}
	err := c.Cookie.complete()
	return c, err
}

func (o *Options) check() error {
	const whole = "must be a whole number of seconds, at least one"
	switch {
	case !validTTL(o.IdleTimeout):
		return badOption("IdleTimeout", o.IdleTimeout, whole)
	case !validTTL(o.AbsoluteTimeout):
		return badOption("AbsoluteTimeout", o.AbsoluteTimeout, whole)
	case o.AbsoluteTimeout < o.IdleTimeout:
		return badOption("AbsoluteTimeout", o.AbsoluteTimeout, "must not be shorter than IdleTimeout")
	case !validTTL(o.RememberIdleTimeout):
		return badOption("RememberIdleTimeout", o.RememberIdleTimeout, whole)
	case o.RememberIdleTimeout < o.IdleTimeout:
		return badOption("RememberIdleTimeout", o.RememberIdleTimeout, "must not be shorter than IdleTimeout")
	case !validTTL(o.RememberAbsoluteTimeout):
		return badOption("RememberAbsoluteTimeout", o.RememberAbsoluteTimeout, whole)
	case o.RememberAbsoluteTimeout < max(o.AbsoluteTimeout, o.RememberIdleTimeout):
		return badOption("RememberAbsoluteTimeout", o.RememberAbsoluteTimeout,
			"must not be shorter than AbsoluteTimeout and RememberIdleTimeout")
	case o.RotateGrace < time.Second:
		return badOption("RotateGrace", o.RotateGrace, "must be at least a second")
	case o.RotateInterval != 0 && o.RotateInterval < o.RotateGrace:
		return badOption("RotateInterval", o.RotateInterval, "must not be shorter than RotateGrace")
	case o.MaxSessions < 0:
		return badOption("MaxSessions", o.MaxSessions, "must not be negative")
	case o.RefuseLogin && o.MaxSessions == 0:
		return errors.New("session: Options.RefuseLogin needs MaxSessions")
	case o.TouchInterval > o.IdleTimeout/2:
		return badOption("TouchInterval", o.TouchInterval, "must not be longer than half of IdleTimeout")
	case o.StoreTimeout < 0:
		return badOption("StoreTimeout", o.StoreTimeout, "must not be negative")
	case o.MaxFields < 0:
		return badOption("MaxFields", o.MaxFields, "must not be negative")
	case o.MaxBytes < 0:
		return badOption("MaxBytes", o.MaxBytes, "must not be negative")
	}
	return nil
}

func badOption(name string, value any, why string) error {
	return fmt.Errorf("session: Options.%s %s: is %v", name, why, value)
}
