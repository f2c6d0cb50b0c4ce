// Package batch sends calls to a server one by one while few are under way, and together while many are: what
// arrives meanwhile waits for the next of them to come back, and goes in one pipeline. So a busy server is asked with
// fewer system calls, and one that is not with no delay.
package batch

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// most is how many calls go together.
	most = 64

	// patience is a Queue's Patience by default. A busy server answers sooner.
	patience = 10 * time.Millisecond

	// calm is a Queue's Calm by default. So many calls take a process a core or less, and a server less than half of
	// one; up to there, how soon each comes back is what counts.
	calm = 30_000

	// parts is a Queue's Parts by default: one group at the server, and one here. More were no faster.
	parts = 2
)

// A Queue makes calls of type C. It has no goroutines but while calls wait in it.
//
// A lane is a call, or several together, under way. There are as many as Calm calls a second take, given how long one
// takes, so more the farther away the server is, and a least number. If none of them moves for a while as calls wait,
// because connections are dead for example, they are given up: those that wait have new ones, as they would without a
// Queue.
//
// Of all calls that wait or are under way, only a part goes together: while the server works on one group, this process
// makes use of what another one has brought. In a single group they would take turns, each idle for as long as the
// other works.
type Queue[C any] struct {
	// Patience is how long no lane may move while calls wait.
	Patience time.Duration

	// Calm is how many calls a second never wait.
	Calm int

	// Parts is how many groups all calls make at least: none has more than its share of those that wait or are under
	// way.
	Parts int

	alone    func(context.Context, C) C
	together func(context.Context, []C)
	least    int       // lanes
	waiters  sync.Pool // of *waiter[C]
	groups   sync.Pool // of *group[C]

	mu         sync.Mutex
	busy       int       // lanes of this generation; at least one while calls wait
	inFlight   int       // calls, those in lanes that were given up included
	generation int       // grows when lanes are given up
	moved      time.Time // when a lane of this generation began or ended last
	times      shortest
	waiting    []*waiter[C]
	watch      *time.Timer // looks after those who wait; nil before anybody has
}

// waiter is a call that waits in the Queue, or is under way with others.
type waiter[C any] struct {
	ctx   context.Context // in which it waits; nil when it has left
	call  C
	reply chan reply[C] // holds one, so that nobody waits for those who have left
}

// reply is how a call came out.
type reply[C any] struct {
	call     C
	err      error // ErrNoReply
	panicked any
}

// New returns a Queue with at least so many lanes. Alone makes one call and returns it with its reply, in the goroutine
// that brought it. Together makes several, and sets each to what it is with its reply, in another goroutine; its
// context ends when the last of theirs has its deadline, and has the values of the first one's.
func New[C any](least int, alone func(context.Context, C) C, together func(context.Context, []C)) *Queue[C] {
	q := &Queue[C]{Patience: patience, Calm: calm, Parts: parts, alone: alone, together: together, least: least}
	q.waiters.New = func() any { return &waiter[C]{reply: make(chan reply[C], 1)} }
	q.groups.New = func() any { return new(group[C]) }
	return q
}

// ErrNoReply says that a call was made, or not, by a goroutine that has ended before it had the reply.
var ErrNoReply = errors.New("the goroutine that made the call has ended")

// Do makes a call, and returns it with its reply. The error is that of ctx, if that ends before the call goes out or
// before it comes back, or ErrNoReply; then the call may still be used by others, and nobody else may.
func (q *Queue[C]) Do(ctx context.Context, call C) (C, error) {
	q.mu.Lock()
	if q.busy < q.lanes() {
		l := q.begin(1)
		q.mu.Unlock()
		defer q.end(l)
		return q.alone(ctx, call), nil
	}
	w := q.waiters.Get().(*waiter[C])
	w.ctx, w.call = ctx, call
	q.waiting = append(q.waiting, w)
	if len(q.waiting) == 1 {
		q.watchFor(q.Patience)
	}
	q.mu.Unlock()
	return q.wait(ctx, w)
}

// Waiting returns how many calls wait.
func (q *Queue[C]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// wait waits until w's call has been made, or ctx ends.
func (q *Queue[C]) wait(ctx context.Context, w *waiter[C]) (C, error) {
	var none C
	select {
	case r := <-w.reply:
		w.ctx, w.call = nil, none
		q.waiters.Put(w)
		return r.result()
	case <-ctx.Done():
	}
	q.mu.Lock()
	w.ctx, w.call = nil, none
	q.mu.Unlock()
	select {
	case r := <-w.reply: // just now
		return r.result()
	default:
		return none, ctx.Err()
	}
}

// result returns what came out, or panics as the one who made the call did.
func (r *reply[C]) result() (C, error) {
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.call, r.err
}

// watchFor has look called when so much time has passed. q.mu is held.
func (q *Queue[C]) watchFor(d time.Duration) {
	if q.watch == nil {
		q.watch = time.AfterFunc(d, q.look)
		return
	}
	q.watch.Reset(d)
}

// look gives the lanes up if none has moved for too long while calls wait, and has those who wait use new ones.
func (q *Queue[C]) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return
	}
	if still := time.Since(q.moved); still < q.Patience {
		q.watchFor(q.Patience - still)
		return
	}
	q.generation++
	q.busy = 0
	for len(q.waiting) > 0 && q.busy < q.lanes() {
		if g := q.take(); g != nil {
			go q.run(q.begin(len(g.calls)), g)
		}
	}
	if len(q.waiting) > 0 {
		q.watchFor(q.Patience)
	}
}

// lanes returns how many there are. q.mu is held.
func (q *Queue[C]) lanes() int {
	return max(q.least, int(q.times.get()*time.Duration(q.Calm)/time.Second))
}

// shortest is the shortest time that calls have taken of late, in the last second or two: it says how far away a server
// is, also one that is busy.
type shortest struct {
	since           time.Time // when current began
	current, before time.Duration
}

func (s *shortest) add(now time.Time, d time.Duration) {
	if now.Sub(s.since) >= time.Second {
		s.since, s.before, s.current = now, s.current, d
		if s.before == 0 {
			s.before = d
		}
		return
	}
	s.current = min(s.current, d)
}

func (s *shortest) get() time.Duration { return min(s.current, s.before) }

// lane is a lane that has begun.
type lane struct {
	generation int
	began      time.Time
	calls      int // under way in it
}

// begin takes a lane for so many calls. q.mu is held.
func (q *Queue[C]) begin(calls int) lane {
	q.busy++
	q.inFlight += calls
	q.moved = time.Now()
	return lane{q.generation, q.moved, calls}
}

// end gives a lane back, or has those who wait use it.
func (q *Queue[C]) end(l lane) {
	if g := q.next(&l); g != nil {
		go q.run(l, g)
	}
}

// next returns those who are to use a lane next, which begins anew. If there are none, it is given back.
func (q *Queue[C]) next(l *lane) *group[C] {
	now := time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.times.add(now, now.Sub(l.began))
	q.inFlight -= l.calls
	if l.generation != q.generation {
		return nil // it was given up
	}
	q.moved, l.began = now, now
	g := q.take()
	if g == nil {
		q.busy--
		return nil
	}
	l.calls = len(g.calls)
	q.inFlight += l.calls
	return g
}

// group is who goes together.
type group[C any] struct {
	waiters  []*waiter[C]
	calls    []C
	ctx      context.Context // the first one's
	deadline time.Time       // the last one's; zero if one has none
}

// take returns those who have waited longest, or nil if nobody waits. They are no longer among the waiting. q.mu is
// held.
func (q *Queue[C]) take() *group[C] {
	var g *group[C]
	n, room := 0, min(most, (len(q.waiting)+q.inFlight+q.Parts-1)/q.Parts)
	endless := false
	i := 0
	for ; i < len(q.waiting) && n < room; i++ {
		w := q.waiting[i]
		if w.ctx == nil || w.ctx.Err() != nil {
			continue // has left, or is about to
		}
		if g == nil {
			g = q.groups.Get().(*group[C])
			g.ctx = w.ctx
		}
		n++
		g.waiters, g.calls = append(g.waiters, w), append(g.calls, w.call)
		switch deadline, ok := w.ctx.Deadline(); {
		case !ok:
			endless = true
		case deadline.After(g.deadline):
			g.deadline = deadline
		}
	}
	rest := copy(q.waiting, q.waiting[i:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if endless {
		g.deadline = time.Time{}
	}
	return g
}

// free gives back a group whose calls have been answered.
func (q *Queue[C]) free(g *group[C]) {
	clear(g.waiters)
	clear(g.calls)
	*g = group[C]{waiters: g.waiters[:0], calls: g.calls[:0]}
	q.groups.Put(g)
}

// run makes the calls of a group, and then of those who wait by then, until nobody does.
func (q *Queue[C]) run(l lane, g *group[C]) {
	defer func() {
		if g == nil {
			return
		}
		// A hook of the client has panicked, or ended this goroutine: it would have done so to the callers.
		r := reply[C]{err: ErrNoReply, panicked: recover()}
		for _, w := range g.waiters {
			w.reply <- r
		}
		q.end(l)
	}()
	for g != nil {
		q.send(g)
		next := q.next(&l)
		q.free(g)
		g = next
	}
}

// send makes the calls of a group.
func (q *Queue[C]) send(g *group[C]) {
	ctx, cancel := context.WithoutCancel(g.ctx), context.CancelFunc(func() {})
	if !g.deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, g.deadline)
	}
	defer cancel()
	if len(g.calls) == 1 {
		g.calls[0] = q.alone(ctx, g.calls[0])
	} else {
		q.together(ctx, g.calls)
	}
	for i, w := range g.waiters {
		w.reply <- reply[C]{call: g.calls[i]}
	}
}
