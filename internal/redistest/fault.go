package redistest

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Action is what a [Fault] does to a command.
type Action int

const (
	// DropReply lets the server run the command, takes its reply and closes the connection instead.
	DropReply Action = iota + 1

	// CutReply lets the server run the command, passes the first half of the reply's bytes and closes the
	// connection.
	CutReply

	// HangReply lets the server run the command and holds the reply, and all that follows it on the
	// connection, until [Injection.Release].
	HangReply

	// DelayReply lets the server run the command and holds the reply, and all that follows it on the
	// connection, for Fault.Delay.
	DelayReply

	// HangCommand holds the command, and all that follows it on the connection, until [Injection.Release].
	// Then the server gets it, if the connection is still there.
	HangCommand

	// RefuseCommand closes the connection without the server's having seen the command.
	RefuseCommand
)

// Always as Fault.Times is every matching command.
const Always = -1

// Fault says which commands a [Proxy] harms, and how. In a transaction, EXEC is the command that runs; the
// reply of one that is queued is the word QUEUED.
type Fault struct {
	// Command is the name of the command, "EVALSHA" for example, in either case. If empty, any.
	Command string

	// Match, if set, is a further condition on the command and its arguments. It is called by one goroutine
	// at a time and must not use the Proxy.
	Match func(args []string) bool

	// Skip is how many matching commands pass unharmed before the first that does not.
	Skip int

	// Times is how many matching commands are harmed after those. If zero, one. See [Always].
	Times int

	// Do is what is done to them.
	Do Action

	// Delay is how long DelayReply takes.
	Delay time.Duration
}

// Injection is a fault at work. Its methods are safe for concurrent use.
type Injection struct {
	fault    Fault
	released chan struct{} // closed by Release
	reached  chan struct{} // closed by the first hit

	mu   sync.Mutex
	skip int // how many more pass
	left int // how many more are harmed; negative: all
	hits int
}

// Inject puts a fault to work on the commands that come from now on. Where several match a command, the first
// one injected has it.
func (p *Proxy) Inject(f Fault) *Injection {
	if f.Do < DropReply || f.Do > RefuseCommand {
		panic("redistest: Fault without an Action")
	}
	in := &Injection{
		fault:    f,
		released: make(chan struct{}),
		reached:  make(chan struct{}),
		skip:     f.Skip,
		left:     f.Times,
	}
	if f.Times == 0 {
		in.left = 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, in)
	return in
}

// Hits returns how many commands were harmed: closed on, held, or answered in part. With the actions on
// replies, the server has run that many.
func (in *Injection) Hits() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.hits
}

// Await waits until a command was harmed, and fails the test if that takes more than 15 seconds.
func (in *Injection) Await(tb testing.TB) {
	tb.Helper()
	select {
	case <-in.reached:
	case <-time.After(replyTimeout):
		tb.Fatalf("redistest: no command met the fault %+v", in.fault)
	}
}

// Release ends the fault: what it holds goes on, and later commands pass unharmed.
func (in *Injection) Release() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.left = 0
	if !closed(in.released) {
		close(in.released)
	}
}

// takes reports whether the fault is to harm this command, and counts it if it matches.
func (in *Injection) takes(args []string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch f := &in.fault; {
	case in.left == 0:
		return false
	case f.Command != "" && !strings.EqualFold(f.Command, args[0]):
		return false
	case f.Match != nil && !f.Match(args):
		return false
	}
	if in.skip > 0 {
		in.skip--
		return false
	}
	if in.left > 0 {
		in.left--
	}
	return true
}

// hit counts a command that was harmed.
func (in *Injection) hit() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hits++
	if in.hits == 1 {
		close(in.reached)
	}
}

// does reports whether an injection, which may be nil, does a.
func (in *Injection) does(a Action) bool { return in != nil && in.fault.Do == a }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
