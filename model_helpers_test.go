package session_test

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

// This file is for the random tests, TestSessionFollowsModel and TestManagerKeepsPromisesInParallel. A seed says
// all that happens in them, but for the order in which Go goes through a map. This runs one seed again, or many:
//
//	MODEL_SEED=17 go test -run TestSessionFollowsModel .
//	MODEL_SEEDS=20000 go test -run TestSessionFollowsModel .

// eachSeed runs a random test once for each of n seeds, in a bubble of its own, until one fails.
func eachSeed(t *testing.T, n int, test func(t *testing.T, seed uint64)) {
	if testing.Short() || raceEnabled {
		n /= 8
	}
	number := func(name string, otherwise int) int {
		v, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v
	}
	first, n := 1, number("MODEL_SEEDS", n)
	if one := number("MODEL_SEED", 0); one > 0 {
		first, n = one, 1
	}
	for seed := first; seed < first+n && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, uint64(seed)) // tokens, too, are the seed's
			test(t, uint64(seed))
		})
	}
}

// diary is what happened in a run: for whoever has to find out why it failed.
type diary struct {
	seed  uint64
	start time.Time
	lines []string
}

func newDiary(seed uint64) *diary { return &diary{seed: seed, start: time.Now()} }

func (d *diary) note(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf("%9.3fs  ", time.Since(d.start).Seconds())+fmt.Sprintf(format, args...))
}

// explain says how a run failed, and what led to it.
func (d *diary) explain(format string, args ...any) string {
	return fmt.Sprintf("MODEL_SEED=%d: %s\n%s", d.seed, fmt.Sprintf(format, args...), strings.Join(d.lines, "\n"))
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// rough is a store that takes its time before and after each call, and loses calls and replies.
type rough struct{ *faulty }

// newRough returns a rough store over b that loses so many of 100 calls, and as many replies. What becomes of a
// call depends on the seed, the time and the call: goroutines that are ready at the same time go in any order.
func newRough(b backend.Backend, seed uint64, lost int) rough {
	dawdle := func(method, id string, _ backend.Patch) error {
		h := fnv.New64a()
		fmt.Fprint(h, time.Now().UnixNano(), method, id)
		rng := rand.New(rand.NewPCG(seed, h.Sum64()))
		time.Sleep(upTo(rng, 300*time.Millisecond))
		if rng.IntN(100) < lost {
			return errStore
		}
		return nil
	}
	return rough{&faulty{Backend: b, before: dawdle, after: dawdle}}
}

func (r rough) Load(ctx context.Context, id string) (backend.Record, error) {
	return r.call("Load", id, backend.Patch{}, func() (backend.Record, error) { return r.Backend.Load(ctx, id) })
}

// upTo returns a random time below d.
func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

// hoard is a backend with a local cache that is as stale as one may be: it sees the writes of its own process
// alone, and keeps what it has loaded for five seconds.
type hoard struct {
	*faulty
	mu     sync.Mutex
	kept   map[string]hoarded
	writes map[string]int // by ID: a Load that a write has overtaken is not kept
}

type hoarded struct {
	rec  backend.Record
	when time.Time
}

func newHoard(b backend.Backend) *hoard {
	h := &hoard{kept: make(map[string]hoarded), writes: make(map[string]int)}
	forget := func(_, id string, _ backend.Patch) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.kept, id)
		h.writes[id]++
		return nil
	}
	h.faulty = &faulty{Backend: b, before: forget, after: forget}
	return h
}

func (h *hoard) Fresh() backend.Backend { return h.Backend }

func (h *hoard) Load(ctx context.Context, id string) (backend.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := h.kept[id]
	if writes := h.writes[id]; !ok || time.Since(k.when) > 5*time.Second {
		k.when = time.Now()
		h.mu.Unlock()
		var err error
		k.rec, err = h.Backend.Load(ctx, id)
		h.mu.Lock()
		if err != nil {
			return backend.Record{}, err
		}
		if h.writes[id] == writes {
			h.kept[id] = k
		}
	}
	return backend.Record{Fields: maps.Clone(k.rec.Fields), TTL: k.rec.TTL}, nil
}

// labelName is where the model keeps a label among the fields. No field is called that.
const labelName = "(label)"

// modelled is the model of a session.
type modelled struct {
	id         string
	fields     map[string]string
	owner      string
	ttl        time.Duration
	remembered bool
	began      time.Time // when the absolute timeout began
	used       time.Time // when the idle timeout began
	renewed    time.Time // when it got its token
}

// end returns when the session ends if it is not used again.
func (m *modelled) end(o *session.Options) time.Time {
	absolute := m.began.Add(o.AbsoluteTimeout)
	if m.remembered {
		absolute = m.began.Add(o.RememberAbsoluteTimeout)
	}
	if idle := m.used.Add(m.ttl); idle.Before(absolute) {
		return idle
	}
	return absolute
}

func (m *modelled) holdsData() bool {
	_, label := m.fields[labelName]
	return len(m.fields) > 1 || len(m.fields) == 1 && !label
}

func (m *modelled) String() string {
	return fmt.Sprintf("%v of %q, TTL %v, remembered %v", m.fields, m.owner, m.ttl, m.remembered)
}

// describe returns what a modelled session's String would.
func describe(s *session.Session) string {
	m := modelled{fields: maps.Collect(s.All()), owner: s.Owner(), ttl: s.TTL(), remembered: s.Remembered()}
	if label := s.Label(); label != "" {
		m.fields[labelName] = label
	}
	return m.String()
}

// view is the model of a request's Session: what it shows, and what it has gathered.
type view struct {
	modelled
	stored *modelled // nil for none
	dirty  map[string]bool

	login, others, remember, rotate, newTTL bool
}

func newView(stored *modelled, o *session.Options) *view {
	v := &view{modelled: modelled{ttl: o.IdleTimeout}, stored: stored}
	if stored != nil {
		v.modelled = *stored
	}
	v.fields = maps.Clone(v.fields)
	v.settle()
	return v
}

// settle forgets what has gathered.
func (v *view) settle() {
	v.dirty = make(map[string]bool)
	v.login, v.others, v.remember, v.rotate, v.newTTL = false, false, false, false, false
	if v.fields == nil {
		v.fields = make(map[string]string)
	}
}

func (v *view) pending() bool {
	return len(v.dirty) > 0 || v.login || v.remember || v.rotate || v.newTTL
}

func (v *view) set(name, value string) { v.fields[name], v.dirty[name] = value, true }

func (v *view) remove(name string) {
	delete(v.fields, name)
	v.dirty[name] = true
}

func (v *view) logIn(owner string) {
	v.login, v.owner, v.remembered = true, owner, v.remember
	if v.stored != nil && v.stored.owner != "" && v.stored.owner != owner {
		v.others = true // the session is another owner's
		maps.DeleteFunc(v.fields, func(name, _ string) bool { return !v.dirty[name] })
	}
}

// commit stores what has gathered, and touches the session if that is due.
func (v *view) commit(o *session.Options) {
	now, was := time.Now(), v.stored
	if v.others {
		was = nil
		if !v.newTTL {
			v.ttl = o.IdleTimeout
		}
	}
	if was == nil && !v.login && !v.newTTL && !v.holdsData() {
		remember := v.remember // it holds for when there is something to store
		v.settle()
		v.remember = remember
		return
	}
	if was == nil {
		was = &modelled{}
		v.id, v.began, v.used, v.renewed = "", now, now, now
	}
	if (v.login || v.remember) && !v.newTTL && v.remember != was.remembered {
		v.ttl = o.IdleTimeout
		if v.remember {
			v.ttl = o.RememberIdleTimeout
		}
	}
	if v.login {
		v.began = now
	}
	due := o.TouchInterval == 0 && now.Sub(v.used) >= min(was.ttl/30, time.Minute)
	if v.login || v.remember || v.newTTL || due {
		v.used = now
	}
	v.settle()
	stored := v.modelled
	stored.fields = maps.Clone(v.fields)
	v.stored = &stored
}
