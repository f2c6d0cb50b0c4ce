package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// EventKind says what happened to a session.
type EventKind string

// The kinds of events.
const (
	EventCreated        EventKind = "created"         // a new session was stored
	EventLogin          EventKind = "login"           // it got an owner
	EventRotated        EventKind = "rotated"         // it got a new token without a login
	EventReused         EventKind = "reused"          // a token that a rotation had replaced came back; it was ended
	EventDestroyed      EventKind = "destroyed"       // it was ended by whoever holds its token
	EventRevoked        EventKind = "revoked"         // it was ended by its ID
	EventExpired        EventKind = "expired"         // it was found past its absolute timeout, and ended
	EventMismatch       EventKind = "mismatch"        // a token with its ID and another secret was presented
	EventRejectedCookie EventKind = "rejected cookie" // a cookie was malformed, or there were several
	EventStoreError     EventKind = "store error"     // the store failed, or held what cannot be read
	EventLateChange     EventKind = "late change"     // a handler changed it after the response had begun
	EventMisuse         EventKind = "misuse"          // a handler did with it what cannot be: Err says what
)

// Event is something that happened to a session. It holds no secret.
type Event struct {
	Kind  EventKind
	ID    string // the session's public ID; empty if there is none
	Owner string // whose session it is, where that is known
	Err   error  // the cause, if there is one
}

// level is how much of somebody's attention an event needs.
func (e Event) level() slog.Level {
	switch e.Kind {
	case EventStoreError, EventLateChange, EventMisuse:
		return slog.LevelError
	case EventMismatch, EventReused:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// LogEvents returns a hook for Options.OnEvent that logs to logger, or to slog.Default() if it is nil: failures as
// errors; wrong tokens, which need the ID of a live session, as warnings; the ordinary life of sessions, and malformed
// cookies, which anybody can send, at slog.LevelDebug. It logs the owner's name: what Login was given.
func LogEvents(logger *slog.Logger) func(context.Context, Event) {
	return func(ctx context.Context, e Event) {
		l := logger
		if l == nil {
			l = slog.Default()
		}
		level := e.level()
		if !l.Enabled(ctx, level) {
			return
		}
		attrs := []slog.Attr{slog.String("event", string(e.Kind))}
		if e.ID != "" {
			attrs = append(attrs, slog.String("id", e.ID))
		}
		if e.Owner != "" {
			attrs = append(attrs, slog.String("owner", e.Owner))
		}
		if e.Err != nil {
			attrs = append(attrs, slog.Any("error", e.Err))
		}
		l.LogAttrs(ctx, level, "session", attrs...)
	}
}

// emit tells the hook. A hook that panics harms nothing, nor does one that looks for the session in its context, a
// logger that adds the session's ID to each line for example: the session is at work, and there is none to be found.
func (m *Manager) emit(ctx context.Context, e Event) {
	defer func() { _ = recover() }()
	m.opts.OnEvent(hookContext{ctx, m}, e)
}

// hookContext is a context without the exchange of a Manager.
type hookContext struct {
	context.Context
	m *Manager
}

// Value returns what the context holds, except the exchange.
func (c hookContext) Value(key any) any {
	if key == (ctxKey{c.m}) {
		return nil
	}
	return c.Context.Value(key)
}

// String keeps the request and its headers out of what fmt prints of a context.
func (c hookContext) String() string { return fmt.Sprint(c.Context) + ".WithoutSession" }

// storeFailed tells the hook of an error unless it is a plain refusal, or that the caller has cancelled, and returns it
// wrapped.
func (m *Manager) storeFailed(ctx context.Context, op, id string, err error) error {
	if err == nil {
		return nil
	}
	err = wrap(op, id, err)
	gone := errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled)
	if !refused(err) && !gone {
		m.emit(ctx, Event{Kind: EventStoreError, ID: id, Err: err})
	}
	return err
}
