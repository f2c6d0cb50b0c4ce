package main

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/faeeb396/session"
)

// api is the demo's JSON interface. Its handlers use the Manager's operations by token, one round trip each,
// rather than its middleware, to show the store's answers as they are.
type api struct{ sessions *session.Manager }

// noSession is what GET /session says to a visitor without a session.
type noSession struct {
	Authenticated bool      `json:"authenticated"`
	Session       *struct{} `json:"session"`
}

// loggedOut is what POST /logout says.
type loggedOut struct {
	Authenticated bool `json:"authenticated"`
}

// active is what the demo says of a session.
type active struct {
	Authenticated bool              `json:"authenticated"`
	SessionID     string            `json:"session_id"`     // the public ID
	Session       map[string]string `json:"session"`        // the stored fields but the token's hash, and ttl
	ConfiguredTTL int64             `json:"configured_ttl"` // seconds
	TTL           int64             `json:"ttl"`            // seconds that are left
	PageViews     *int64            `json:"page_views,omitempty"`
}

// timeLayout is how the store writes times. They are UTC.
const timeLayout = "2006-01-02T15:04:05+00:00"

// describe returns what the demo says of s, which was touched just now or only looked at.
func describe(s *session.Session, touched bool) active {
	configured, left := seconds(s.TTL()), seconds(s.Remaining())
	if touched && left == configured-1 {
		left = configured // a second began since the touch, whose time is rounded down
	}
	fields := map[string]string{
		"created_at":       s.CreatedAt().Format(timeLayout),
		"last_accessed_at": s.LastAccessedAt().Format(timeLayout),
		"session_ttl":      strconv.FormatInt(configured, 10),
	}
	maps.Insert(fields, s.All())
	fields["ttl"] = strconv.FormatInt(left, 10)
	return active{
		Authenticated: true,
		SessionID:     s.ID(),
		Session:       fields,
		ConfiguredTTL: configured,
		TTL:           left,
	}
}

// seconds rounds up, as the times in a record are rounded down: a session that was touched right now has its
// whole time to live left.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// show answers GET /session with the session, and starts its idle timeout over unless the query says
// refresh=false, which is for a look that keeps nothing alive.
func (a *api) show(w http.ResponseWriter, r *http.Request) {
	token, ok := a.sessions.RequestToken(r)
	if !ok {
		answer(w, http.StatusOK, noSession{})
		return
	}
	quiet := r.URL.Query().Get("refresh") == "false"
	read := a.sessions.Touch
	if quiet {
		read = a.sessions.Peek
	}
	s, err := read(r.Context(), token)
	if err == nil {
		err = a.settle(w, r, s)
	}
	switch {
	case errors.Is(err, session.ErrNotFound):
		if !quiet { // a look is beside other requests, and the browser may have the cookie of a new login by now
			a.sessions.ClearCookie(w.Header())
		}
		answer(w, http.StatusOK, noSession{})
	case err != nil:
		failStore(w, err)
	default:
		answer(w, http.StatusOK, describe(s, !quiet))
	}
}

// login answers POST /login: it starts a new session, whatever the request's cookie says, and ends the one that
// the cookie names.
func (a *api) login(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	name, problem := formUsername(r)
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	ttl, problem := formTTL(r, defaultTTL)
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	remember, problem := formRemember(r)
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	if err := a.end(r); err != nil {
		failStore(w, err)
		return
	}
	s := a.sessions.NewSession()
	s.Login(name)
	s.SetLabel(browserLabel(r.UserAgent()))
	s.Set("username", name)
	s.Set("page_views", "1") // logging in is the first page view, as in the guide
	if remember {
		s.Remember()
	}
	err := s.SetTTL(ttl)
	if err == nil {
		err = s.Commit(r.Context())
	}
	if err != nil {
		failStore(w, err)
		return
	}
	a.sessions.WriteCookie(w.Header(), s)
	answer(w, http.StatusOK, describe(s, true))
}

// settle lets the rotation timer of a session that was just used do what is due, which is seldom anything and
// then costs a round trip, and tells the client of a new token. The session may have ended meanwhile.
func (a *api) settle(w http.ResponseWriter, r *http.Request, s *session.Session) error {
	if err := s.Commit(r.Context()); err != nil {
		return err
	}
	if !s.Exists() {
		return session.ErrNotFound
	}
	a.sessions.WriteCookie(w.Header(), s)
	return nil
}

// end ends the session that the request's cookie names, if there is one.
func (a *api) end(r *http.Request) error {
	token, ok := a.sessions.RequestToken(r)
	if !ok {
		return nil
	}
	if err := a.sessions.End(r.Context(), token); err != nil && !errors.Is(err, session.ErrNotFound) {
		return err
	}
	return nil
}

// increment answers POST /increment: it counts one more page view.
func (a *api) increment(w http.ResponseWriter, r *http.Request) {
	token, ok := a.token(w, r)
	if !ok {
		return
	}
	s, err := a.sessions.Increment(r.Context(), token, "page_views", 1)
	if err == nil {
		err = a.settle(w, r, s)
	}
	if err != nil {
		a.failChange(w, err)
		return
	}
	body := describe(s, true)
	if n, err := strconv.ParseInt(s.Get("page_views"), 10, 64); err == nil {
		body.PageViews = &n
	}
	answer(w, http.StatusOK, body)
}

// setTTL answers POST /ttl: it gives the session another time to live, counted from now.
func (a *api) setTTL(w http.ResponseWriter, r *http.Request) {
	token, ok := a.token(w, r)
	if !ok || !readForm(w, r) {
		return
	}
	ttl, problem := formTTL(r, 0)
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	s, err := a.sessions.SetTTL(r.Context(), token, ttl)
	if err == nil {
		err = a.settle(w, r, s)
	}
	if err != nil {
		a.failChange(w, err)
		return
	}
	answer(w, http.StatusOK, describe(s, true))
}

// logout answers POST /logout: it ends the session. A visitor without one is logged out already.
func (a *api) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.end(r); err != nil {
		failStore(w, err)
		return
	}
	a.sessions.ClearCookie(w.Header())
	answer(w, http.StatusOK, loggedOut{})
}

// token returns the token in the request's cookie, or answers that there is none.
func (a *api) token(w http.ResponseWriter, r *http.Request) (session.Token, bool) {
	token, ok := a.sessions.RequestToken(r)
	if !ok {
		fail(w, http.StatusUnauthorized, "No active session")
	}
	return token, ok
}

// failChange answers a change that was not made.
func (a *api) failChange(w http.ResponseWriter, err error) {
	if errors.Is(err, session.ErrNotFound) {
		a.sessions.ClearCookie(w.Header())
		fail(w, http.StatusUnauthorized, "Session expired")
		return
	}
	failStore(w, err)
}

// failStore answers a request for which the store could not do its part. The cookie stays: the session may be
// there the next time.
func failStore(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, session.ErrCounter):
		fail(w, http.StatusConflict, "The stored page_views is not a number that can be counted up")
	case errors.Is(err, session.ErrUnreadable):
		fail(w, http.StatusInternalServerError, "The stored session cannot be read")
	case errors.Is(err, session.ErrConflict):
		fail(w, http.StatusConflict, "Another request ended or changed the session first")
	case timedOut(err):
		fail(w, http.StatusServiceUnavailable, "The session store does not answer")
	default:
		fail(w, http.StatusServiceUnavailable, "The session store failed")
	}
}
