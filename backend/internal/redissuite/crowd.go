package redissuite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Crowd checks that many calls at a time, which may go to the server together, are as good as one after the other: each
// has its own answer, and no write is sent again, where connections end under them and where callers leave.
func Crowd(t *testing.T, k Kit) {
	for _, kind := range k.Kinds {
		for _, tt := range []struct {
			name    string
			do      redistest.Action // to a command in fifty, of every kind
			patient bool             // no caller leaves
		}{
			{"all is well", 0, true},
			{"replies are lost", redistest.DropReply, true},
			{"replies are cut", redistest.CutReply, true},
			{"commands are lost", redistest.RefuseCommand, true},
			{"callers leave", redistest.DelayReply, false},
		} {
			t.Run(kind.Name+", "+tt.name, func(t *testing.T) {
				s, proxy := OnProxy(t, kind.Open)
				c := &crowd{Store: s, patient: tt.patient, lossless: tt.do == 0}
				if tt.do != 0 {
					proxy.Inject(redistest.Fault{
						Match: func([]string) bool { return rand.IntN(50) == 0 },
						Do:    tt.do, Times: redistest.Always, Delay: 3 * time.Millisecond,
					})
				}
				c.run(t)
				// A script that the server has not got is sent again; here it has.
				if sent := proxy.Calls(); sent["EVALSHA"] > crowdSize*crowdCalls || sent["DEL"] > crowdSize {
					t.Errorf("for %d changes and %d deletions, sent %v", crowdSize*crowdCalls, crowdSize, sent)
				}
			})
		}
	}
}

const (
	crowdSize  = 32 // callers, each with a record of its own
	crowdCalls = 20 // changes of each, and as many reads
)

type crowd struct {
	*Store
	patient  bool // no caller leaves
	lossless bool // no call fails
}

func (c *crowd) run(t *testing.T) {
	for i := range crowdSize {
		c.Do(t, "HSET", c.key(i), "me", strconv.Itoa(i), "n", "0", "session_ttl", "3600")
		c.Do(t, "EXPIRE", c.key(i), "3600")
	}
	var wg sync.WaitGroup
	errs := make([]error, crowdSize)
	for i := range crowdSize {
		wg.Go(func() { errs[i] = c.caller(t.Context(), i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func (c *crowd) id(i int) string  { return "crowd" + strconv.Itoa(i) }
func (c *crowd) key(i int) string { return c.Prefix + c.id(i) }

// context is that of one call.
func (c *crowd) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.patient {
		return context.WithTimeout(ctx, recoveryLimit)
	}
	return context.WithTimeout(ctx, time.Duration(rand.IntN(int(6*time.Millisecond))))
}

// caller counts in its record, reads it, and deletes it. It returns what was wrong.
func (c *crowd) caller(ctx context.Context, i int) error {
	least, most := 0, 0 // of what the counter may be
	for range crowdCalls {
		n, err := c.count(ctx, i)
		most++
		switch {
		case err == nil:
			if n <= least || n > most {
				return fmt.Errorf("caller %d: counted to %d, want over %d, and at most %d", i, n, least, most)
			}
			least = n
		case refused(err) || c.lossless:
			return fmt.Errorf("caller %d: Apply = %w", i, err)
		}
		n, err = c.read(ctx, i)
		switch {
		case err == nil:
			if n < least || n > most {
				return fmt.Errorf("caller %d: read %d, want %d to %d", i, n, least, most)
			}
		case refused(err) || c.lossless:
			return fmt.Errorf("caller %d: Load = %w", i, err)
		}
	}
	within, cancel := c.context(ctx)
	defer cancel()
	if err := c.Delete(within, c.id(i)); err != nil && c.lossless {
		return fmt.Errorf("caller %d: Delete = %w", i, err)
	}
	return nil
}

// count adds one to the counter and returns it.
func (c *crowd) count(ctx context.Context, i int) (int, error) {
	ctx, cancel := c.context(ctx)
	defer cancel()
	rec, err := c.Apply(ctx, c.id(i), backend.Patch{Add: map[string]int64{"n": 1}, Load: rand.IntN(2) == 0})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(rec.Fields["n"])
}

// read returns the counter. The record must be the caller's.
func (c *crowd) read(ctx context.Context, i int) (int, error) {
	ctx, cancel := c.context(ctx)
	defer cancel()
	rec, err := c.Load(ctx, c.id(i))
	if err != nil {
		return 0, err
	}
	if me := rec.Fields["me"]; me != strconv.Itoa(i) {
		return 0, fmt.Errorf("%w: the record is that of %s", backend.ErrUnreadable, me)
	}
	return strconv.Atoi(rec.Fields["n"])
}
