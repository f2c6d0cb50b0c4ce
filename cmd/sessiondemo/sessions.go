package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/faeeb396/session"
)

// This file is about a user's sessions. The guide has none of it.

// listed is what the demo says of one of a user's sessions.
type listed struct {
	ID         string `json:"id"`         // the public ID
	Label      string `json:"label"`      // the browser that logged in
	LoggedIn   string `json:"logged_in"`  // as the store writes times, as are the next two
	LastUsed   string `json:"last_used"`  // when it was last touched
	Expires    string `json:"expires"`    // when it ends if it is not used again
	TTL        int64  `json:"ttl"`        // seconds until then
	Remembered bool   `json:"remembered"` // the cookie outlives the browser
	Current    bool   `json:"current"`    // it is the session that asks
}

// listing is what the demo says of a user's sessions, the oldest login first. A visitor without a session has
// none.
type listing struct {
	Authenticated bool     `json:"authenticated"`
	Sessions      []listed `json:"sessions"`
	Ended         *int     `json:"ended,omitempty"` // how many the request has ended, if it was to end some
}

// list answers GET /sessions with the sessions of this session's user. It keeps nothing alive and leaves the
// cookie alone whatever it finds, so a page may ask again and again, beside other requests.
func (a *api) list(w http.ResponseWriter, r *http.Request) {
	token, ok := a.sessions.RequestToken(r)
	if !ok {
		answer(w, http.StatusOK, listing{Sessions: []listed{}})
		return
	}
	s, err := a.sessions.Peek(r.Context(), token)
	switch {
	case errors.Is(err, session.ErrNotFound):
		answer(w, http.StatusOK, listing{Sessions: []listed{}})
	case err != nil:
		failStore(w, err)
	default:
		a.answerList(w, r, s, nil)
	}
}

// endOne answers POST /sessions/end: it ends the session that the form names by its public ID, if it is this
// user's, and says which are left.
func (a *api) endOne(w http.ResponseWriter, r *http.Request) {
	token, ok := a.token(w, r)
	if !ok || !readForm(w, r) {
		return
	}
	id := r.PostForm.Get("id")
	if id == "" {
		fail(w, http.StatusBadRequest, badID)
		return
	}
	s, ok := a.use(w, r, token)
	if !ok {
		return
	}
	err := a.sessions.Revoke(r.Context(), s.Owner(), id)
	switch {
	case errors.Is(err, session.ErrNotFound):
		fail(w, http.StatusNotFound, "You have no such session")
		return
	case err != nil:
		failStore(w, err)
		return
	}
	ended := 1
	if id == s.ID() {
		a.sessions.ClearCookie(w.Header())
		answer(w, http.StatusOK, listing{Sessions: []listed{}, Ended: &ended})
		return
	}
	a.answerList(w, r, s, &ended)
}

// endOthers answers POST /sessions/end-others: it ends all of this user's sessions but this one.
func (a *api) endOthers(w http.ResponseWriter, r *http.Request) {
	token, ok := a.token(w, r)
	if !ok {
		return
	}
	s, ok := a.use(w, r, token)
	if !ok {
		return
	}
	ended, err := s.RevokeOthers(r.Context())
	if err != nil {
		a.failChange(w, err)
		return
	}
	a.answerList(w, r, s, &ended)
}

// use returns the session that token names, touched, or answers that there is none.
func (a *api) use(w http.ResponseWriter, r *http.Request, token session.Token) (*session.Session, bool) {
	s, err := a.sessions.Touch(r.Context(), token)
	if err == nil {
		err = a.settle(w, r, s)
	}
	if err != nil {
		a.failChange(w, err)
		return nil, false
	}
	return s, true
}

func (a *api) answerList(w http.ResponseWriter, r *http.Request, s *session.Session, ended *int) {
	infos, err := s.Sessions(r.Context())
	switch {
	case errors.Is(err, session.ErrNotFound) && ended == nil: // it has ended just now
		answer(w, http.StatusOK, listing{Sessions: []listed{}})
		return
	case err != nil:
		a.failChange(w, err)
		return
	}
	body := listing{Authenticated: true, Sessions: make([]listed, len(infos)), Ended: ended}
	for i, info := range infos {
		body.Sessions[i] = listed{
			ID:         info.ID,
			Label:      info.Label,
			LoggedIn:   info.AuthenticatedAt.Format(timeLayout),
			LastUsed:   info.LastAccessedAt.Format(timeLayout),
			Expires:    info.ExpiresAt.Format(timeLayout),
			TTL:        max(0, seconds(time.Until(info.ExpiresAt))),
			Remembered: info.Remembered,
			Current:    info.Current,
		}
	}
	answer(w, http.StatusOK, body)
}
