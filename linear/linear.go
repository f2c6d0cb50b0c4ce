// Package linear checks that a backend is linearizable: that concurrent calls on one ID, from however many
// clients, behave as if they had run one after the other, each at some moment between its call and its return.
//
// It has clients call Create, Load, Apply and Delete at random, writes down what each was told and when, and has
// porcupine search for an order that explains it all. A call whose outcome is unknown, because the reply was lost
// for example, may have happened at any time after it was made, or never. Where that is so of most calls, nearly
// everything can be explained, and a check would say nothing: it fails.
//
// It is a module of its own, so that porcupine stays out of the go.mod of those who import the library.
package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/faeeb396/session/backend"
)

// Options say how much is called. The zero value of each field asks for its default.
type Options struct {
	// Operations is how many calls are made in all. Unless positive, 2000.
	Operations int

	// Clients is how many call at a time. Unless positive, 8.
	Clients int

	// IDs are the records that are fought over. If empty, four with random names. Nothing is stored under them,
	// and they are deleted afterwards.
	IDs []string

	// Seed makes the calls that are made, though not their timing, the same again. If zero, a random one, which
	// a failure names.
	Seed uint64
}

// Check has clients call the backends in turn, all of which are clients of the same store, and fails tb if what
// they saw cannot be explained by any order of the calls, or if the outcome of less than half of them is known. An
// error of the contract is a known outcome, and one that no order explains where the call cannot fail so: with
// ErrCounter or ErrUnreadable none of these calls can.
func Check(tb testing.TB, opts Options, backends ...backend.Backend) {
	tb.Helper()
	if len(backends) == 0 {
		tb.Fatal("linear: Check: no backends")
	}
	if len(opts.IDs) == 0 {
		for i := range 4 {
			opts.IDs = append(opts.IDs, fmt.Sprintf("linear-%d-%d", rand.Uint64(), i))
		}
	}
	if opts.Operations <= 0 {
		opts.Operations = 2000
	}
	if opts.Clients <= 0 {
		opts.Clients = 8
	}
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64()
	}
	history, unknown := record(tb.Context(), opts, backends)
	for _, id := range opts.IDs {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_ = backends[0].Delete(ctx, id)
		cancel()
	}
	if n := len(unknown); 2*n > opts.Operations {
		tb.Errorf("the outcome of %d of %d calls is unknown (seed %d), of the last one because of: %v",
			n, opts.Operations, opts.Seed, unknown[n-1])
		return
	}
	result, info := porcupine.CheckOperationsVerbose(model, history, time.Minute)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		tb.Errorf("no order of %d calls was found within a minute, nor ruled out (seed %d)", len(history), opts.Seed)
	case porcupine.Illegal:
		report(tb, opts.Seed, history, info)
	}
}

// report says what was seen where no order explains it.
func report(tb testing.TB, seed uint64, history []porcupine.Operation, info porcupine.LinearizationInfo) {
	tb.Helper()
	picture := filepath.Join(os.TempDir(), fmt.Sprintf("linear-%d.html", seed))
	if err := porcupine.VisualizePath(model, info, picture); err != nil {
		picture = err.Error()
	}
	tb.Errorf("not linearizable (seed %d); the picture is %s", seed, picture)
	for _, ops := range split(history) {
		if porcupine.CheckOperations(model, ops) {
			continue
		}
		for _, op := range ops[:min(len(ops), 200)] {
			tb.Logf("client %d, %8d to %8d µs: %s", op.ClientId, op.Call/1000, op.Return/1000,
				describe(op.Input, op.Output))
		}
		return
	}
}

// record makes the calls and writes them down, with the errors of those whose outcome is unknown.
func record(ctx context.Context, opts Options, backends []backend.Backend) ([]porcupine.Operation, []error) {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		history []porcupine.Operation
		unknown []error
	)
	start := time.Now()
	for client := range opts.Clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(opts.Seed, uint64(client)))
			b := backends[client%len(backends)]
			var mine []porcupine.Operation
			var lost []error
			calls := opts.Operations / opts.Clients
			if client < opts.Operations%opts.Clients {
				calls++
			}
			for range calls {
				in := draw(random, opts.IDs)
				called := time.Since(start)
				out := call(ctx, b, in)
				op := porcupine.Operation{
					ClientId: client, Input: in, Output: out,
					Call: int64(called), Return: int64(time.Since(start)),
				}
				if out.unknown {
					lost = append(lost, out.err)
					if in.kind == load {
						continue // it changed nothing and says nothing
					}
					op.Return = int64(1) << 62 // it may still happen
				}
				mine = append(mine, op)
			}
			mu.Lock()
			defer mu.Unlock()
			history, unknown = append(history, mine...), append(unknown, lost...)
		})
	}
	wg.Wait()
	return history, unknown
}
