package redishash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/faeeb396/session/backend"
)

// Fail returns the error of a call that has failed with err: the contract's own if the server refused the call,
// and else one that says what was tried, op, and wraps err. Reply is the server's error reply in err's chain, or nil:
// a hook of the client may have put text of its own around it.
//
// No text holds arguments of a command. Where ctx has ended and there is no reply, the error wraps ctx's, too.
func Fail(ctx context.Context, op string, err, reply error) error {
	if reply != nil {
		if refusal := refusal(op, err, reply); refusal != nil {
			return refusal
		}
	} else if ended := ended(ctx, err); ended != nil && !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return &failure{op, err}
}

// refusal returns the contract's error for an error reply, or nil if it has none. An error reply keeps the code that
// it begins with when a script passes it on, but Redis before 7 puts text before it, and miniredis drops it.
func refusal(op string, err, reply error) error {
	text := strings.TrimPrefix(withoutArguments(reply), "ERR ")
	switch code, _, _ := strings.Cut(text, " "); code {
	case "SESSION_NOT_FOUND":
		return backend.ErrNotFound
	case "SESSION_EXISTS":
		return backend.ErrExists
	case "SESSION_CONFLICT":
		return backend.ErrConflict
	case "SESSION_COUNTER":
		return backend.ErrCounter
	case "SESSION_UNREADABLE":
		return unreadableTTL(op)
	}
	if strings.Contains(text, "WRONGTYPE") || strings.Contains(text, "wrong kind of value") {
		return &failure{op, fmt.Errorf("%w: %w", backend.ErrUnreadable, err)}
	}
	return nil
}

func unreadableTTL(op string) error {
	return fmt.Errorf("%s: %w: %s is no number of seconds", op, backend.ErrUnreadable, fieldTTL)
}

// ended returns the error of a context that has ended, if err may be its doing. A client that gives the
// context's deadline to the connection may see it pass a moment before the context does.
func ended(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if deadline, ok := ctx.Deadline(); ok && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// failure is an error with what was tried.
type failure struct {
	op  string
	err error
}

func (e *failure) Error() string { return e.op + ": " + withoutArguments(e.err) }

// withoutArguments returns the text of an error without what a server that does not know a command replies with: its
// arguments, which are IDs, hashes of tokens and data.
func withoutArguments(err error) string {
	text, _, _ := strings.Cut(err.Error(), ", with args beginning with:")
	return text
}

func (e *failure) Unwrap() error { return e.err }

// maxSent is how often a read is sent. A client may have four connections, and more, that end when its server does,
// and find out about each by using it.
const maxSent = 5

// Again reports whether a read that was sent so many times, and has now failed with err, is to be sent again: if
// the connection ended under it. A server that is down, or too slow, would only be asked too much.
func Again(ctx context.Context, err error, sent int) bool {
	if err == nil || sent >= maxSent || ctx.Err() != nil {
		return false
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op != "dial" && !op.Timeout()
}

// Refused returns the error for the reply to [Probe], nil if the server refuses nothing.
func Refused(op string, reply []string) error {
	if len(reply) < 2 {
		return nil
	}
	var commands []string
	for i := 0; i < len(reply); i += 2 {
		commands = append(commands, reply[i])
	}
	return fmt.Errorf("%s: the server refuses %s: %s", op, strings.Join(commands, ", "), reply[1])
}
