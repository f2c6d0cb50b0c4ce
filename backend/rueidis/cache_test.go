package rueidis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/internal/redistest"
)

// cachedPair returns a backend with a local cache and, as another process, one without, on the same records.
func cachedPair(t *testing.T, server *redistest.Server, addr string, window time.Duration) (cached, other *rueidis.Backend) {
	t.Helper()
	prefix := server.Prefix(t)
	cached = rueidis.New(connect(t, addr), &rueidis.Options{Prefix: prefix, LocalCache: window})
	other = rueidis.New(connect(t, server.Addr()), &rueidis.Options{Prefix: prefix})
	return cached, other
}

func mustCreate(t *testing.T, b backend.Backend, id string) {
	t.Helper()
	rec := backend.Record{Fields: map[string]string{"n": "0"}, TTL: time.Hour}
	if err := b.Create(t.Context(), id, rec); err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, b backend.Backend, id, value string) {
	t.Helper()
	if _, err := b.Apply(t.Context(), id, backend.Patch{Set: map[string]string{"n": value}}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, b backend.Backend, id string) string {
	t.Helper()
	rec, err := b.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("Load(%s) = %v", id, err)
	}
	return rec.Fields["n"]
}

func TestLocalCacheAnswersWithoutTheServer(t *testing.T) {
	server := redistest.Start(t, nil)
	cached, other := cachedPair(t, server, server.Addr(), time.Minute)
	mustCreate(t, other, "a")
	get(t, cached, "a")
	calls := server.CallsDuring(t, func() {
		for range 100 {
			get(t, cached, "a")
		}
	})
	if calls["HGETALL"] != 0 {
		t.Errorf("100 reads sent %v", calls)
	}
	rec, err := cached.Load(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	rec.Fields["n"] = "changed by the caller"
	if got := get(t, cached, "a"); got != "0" {
		t.Errorf("n = %q: the cache shares its maps", got)
	}
}

func TestLocalCacheSeesOwnWrites(t *testing.T) {
	server := redistest.Shared(t)
	cached, _ := cachedPair(t, server, server.Addr(), time.Minute)
	mustCreate(t, cached, "a")
	for i := range 2000 {
		want := strconv.Itoa(i)
		set(t, cached, "a", want)
		if got := get(t, cached, "a"); got != want {
			t.Fatalf("n = %q after writing %q", got, want)
		}
	}
	for i := range 200 {
		id := fmt.Sprint("d", i)
		mustCreate(t, cached, id)
		get(t, cached, id)
		if err := cached.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := cached.Load(t.Context(), id); !errors.Is(err, backend.ErrNotFound) {
			t.Fatalf("Load after Delete = %v, want ErrNotFound", err)
		}
	}
	// What Fresh returns writes for the same process.
	set(t, cached.Fresh(), "a", "fresh")
	if got := get(t, cached, "a"); got != "fresh" {
		t.Errorf("n = %q after a write past the cache", got)
	}
}

func TestLocalCacheSeesOtherProcessesWrites(t *testing.T) {
	server := redistest.Shared(t)
	cached, other := cachedPair(t, server, server.Addr(), time.Minute)
	mustCreate(t, other, "a")
	for i := range 50 {
		want := strconv.Itoa(i)
		get(t, cached, "a")
		set(t, other, "a", want)
		eventually(t, "the invalidation", func() bool { return get(t, cached, "a") == want })
		for range 2 { // from the cache
			if got := get(t, cached, "a"); got != want {
				t.Fatalf("n = %q after the invalidation, want %q", got, want)
			}
		}
	}
	get(t, cached, "a")
	if err := other.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool {
		_, err := cached.Load(t.Context(), "a")
		return errors.Is(err, backend.ErrNotFound)
	})
}

// eventually waits until ok holds: far longer than an invalidation takes, far shorter than the cache's minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

func TestLocalCacheHoldsNoAbsentRecord(t *testing.T) {
	server := redistest.Shared(t)
	cached, other := cachedPair(t, server, server.Addr(), time.Minute)
	for i := range 50 {
		id := fmt.Sprint("a", i)
		for range 2 {
			if _, err := cached.Load(t.Context(), id); !errors.Is(err, backend.ErrNotFound) {
				t.Fatalf("Load = %v, want ErrNotFound", err)
			}
		}
		mustCreate(t, other, id)
		get(t, cached, id) // at once, whether or not an invalidation has come
	}
}

func TestLocalCacheFreshReadsPastIt(t *testing.T) {
	server := redistest.Shared(t)
	cached, other := cachedPair(t, server, server.Addr(), time.Minute)
	mustCreate(t, other, "a")
	fresh := cached.Fresh()
	for i := range 500 {
		want := strconv.Itoa(i)
		get(t, cached, "a")
		set(t, other, "a", want)
		if got := get(t, fresh, "a"); got != want {
			t.Fatalf("n = %q past the cache, want %q", got, want)
		}
	}
	if c, ok := backend.As[backend.Cacher](fresh); ok && c.Fresh() != nil {
		t.Error("what Fresh returns has a cache")
	}
	if other.Fresh() != nil {
		t.Error("Fresh of a backend without a cache is not nil")
	}
}

func TestLocalCacheExpiresWithTheRecord(t *testing.T) {
	server := redistest.Shared(t)
	cached, other := cachedPair(t, server, server.Addr(), time.Minute)
	if err := other.Create(t.Context(), "a", backend.Record{Fields: map[string]string{"n": "0"}, TTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	get(t, cached, "a")
	time.Sleep(1100 * time.Millisecond)
	if _, err := cached.Load(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Load after the record's time = %v, want ErrNotFound", err)
	}
}

// A connection that has died without a sign is the worst case: no invalidation comes, and the window is the bound.
func TestLocalCacheIsBoundedInASilentPartition(t *testing.T) {
	server := redistest.Start(t, nil)
	proxy := redistest.NewProxy(t, server.Addr())
	const window = 500 * time.Millisecond
	cached, other := cachedPair(t, server, proxy.Addr(), window)
	mustCreate(t, other, "a")
	get(t, cached, "a")
	proxy.Partition()
	if err := other.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := cached.Load(ctx, "a")
		cancel()
		if err != nil {
			if errors.Is(err, backend.ErrNotFound) {
				t.Errorf("Load = %v: the server cannot have said so", err)
			}
			break
		}
		if age := time.Since(deleted); age > window+100*time.Millisecond {
			t.Fatalf("a deleted record is still served after %v", age)
		}
		time.Sleep(10 * time.Millisecond)
	}
	proxy.Heal()
}

func TestLocalCacheIsEmptyAfterAReconnect(t *testing.T) {
	server := redistest.Start(t, nil)
	cached, other := cachedPair(t, server, server.Addr(), time.Minute)
	mustCreate(t, other, "a")
	get(t, cached, "a")
	server.Do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	eventually(t, "the connections", func() bool { return other.Ping(t.Context()) == nil })
	set(t, other, "a", "1")
	eventually(t, "a read past what was cached", func() bool {
		rec, err := cached.Load(t.Context(), "a")
		return err == nil && rec.Fields["n"] == "1"
	})
}

func TestLocalCacheReadsEndWhileTheServerIsDown(t *testing.T) {
	t.Parallel() // it mostly waits
	server := redistest.Start(t, nil)
	cached, _ := cachedPair(t, server, server.Addr(), time.Minute)
	server.Kill()
	if _, err := cached.Load(context.Background(), "a"); err == nil || errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Load = %v, want the client's error", err)
	}
}

func TestLocalCacheOnAClientWithoutCache(t *testing.T) {
	server := redistest.Shared(t)
	prefix := server.Prefix(t)
	client := connectWith(t, rueidisclient.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	b := rueidis.New(client, &rueidis.Options{Prefix: prefix, LocalCache: time.Minute})
	other := rueidis.New(connect(t, server.Addr()), &rueidis.Options{Prefix: prefix})
	mustCreate(t, other, "a")
	get(t, b, "a")
	set(t, other, "a", "1")
	if got := get(t, b, "a"); got != "1" {
		t.Errorf("n = %q, want what the store holds", got)
	}
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v", err)
	}
}

// One process with a local cache sees its own writes at once, and so all that the suite asks of one.
func TestConformanceWithLocalCache(t *testing.T) {
	t.Parallel() // it mostly waits
	server := redistest.Shared(t)
	b := rueidis.New(connect(t, server.Addr()), &rueidis.Options{Prefix: server.Prefix(t), LocalCache: time.Minute})
	conformance.Run(t, func(*testing.T) conformance.Target { return conformance.Target{Backend: b} })
}

// holding is a proxy that can hold back what the server replies.
type holding struct {
	net.Listener
	mu sync.RWMutex // held for writing while replies are held back
}

func newHolding(t *testing.T, server string) *holding {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holding{Listener: l}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			wg.Go(func() { defer s.Close(); _, _ = io.Copy(s, client) })
			wg.Go(func() { defer client.Close(); _, _ = io.Copy(h.late(client), s) })
		}
	})
	return h
}

// late returns a writer that waits while replies are held back.
func (h *holding) late(w io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		h.mu.RLock()
		defer h.mu.RUnlock()
		return w.Write(p)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A read joins one that is under way. If the reply to that one is late, it is as old as the reply.
func TestLocalCacheIsBoundedWhereAReplyIsLate(t *testing.T) {
	server := redistest.Start(t, nil)
	proxy := newHolding(t, server.Addr())
	const window = 500 * time.Millisecond
	cached, other := cachedPair(t, server, proxy.Addr().String(), window)
	mustCreate(t, other, "a")
	get(t, cached, "a")
	time.Sleep(2 * window) // nothing is cached any more

	proxy.mu.Lock()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = cached.Load(t.Context(), "a") })
	time.Sleep(window / 5) // the server has answered it by now
	if err := other.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * window)
	time.AfterFunc(50*time.Millisecond, proxy.mu.Unlock)
	if rec, err := cached.Load(t.Context(), "a"); !errors.Is(err, backend.ErrNotFound) {
		t.Errorf("Load, which began %v after the Delete = %v, %v; want ErrNotFound", 2*window, rec, err)
	}
	wg.Wait()
}

// With another process beside it, the cases about caches are those that hold.
func TestConformanceOfLocalCache(t *testing.T) {
	t.Parallel() // it mostly waits
	server := redistest.Shared(t)
	prefix := server.Prefix(t)
	b := rueidis.New(connect(t, server.Addr()), &rueidis.Options{Prefix: prefix, LocalCache: time.Minute})
	other := rueidis.New(connect(t, server.Addr()), &rueidis.Options{Prefix: prefix})
	conformance.Run(t, func(t *testing.T) conformance.Target {
		if !strings.Contains(t.Name(), "/Fresh") && !strings.Contains(t.Name(), "/Cache") {
			t.Skip("this case is run with the cache off")
		}
		return conformance.Target{Backend: b, Second: other}
	})
}
