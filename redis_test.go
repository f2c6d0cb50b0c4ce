package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	rueidisclient "github.com/redis/rueidis"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/goredis"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/backend/rueidis"
	"github.com/faeeb396/session/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Run(m)) }

// eachStore runs f on memory, and on a real Redis through either client.
func eachStore(t *testing.T, f func(t *testing.T, b backend.Backend)) {
	t.Run("memory", func(t *testing.T) { f(t, memory.New(nil)) })
	t.Run("goredis", func(t *testing.T) {
		server := redistest.Shared(t)
		f(t, onGoRedis(t, server.Addr(), server.Prefix(t)))
	})
	t.Run("rueidis", func(t *testing.T) {
		server := redistest.Shared(t)
		f(t, onRueidis(t, server.Addr(), server.Prefix(t)))
	})
}

func onGoRedis(tb testing.TB, addr, prefix string) backend.Backend {
	client := redis.NewClient(&redis.Options{Addr: addr})
	tb.Cleanup(func() { _ = client.Close() })
	return goredis.New(client, &goredis.Options{Prefix: prefix})
}

func onRueidis(tb testing.TB, addr, prefix string) backend.Backend {
	tb.Helper()
	client, err := rueidisclient.NewClient(rueidisclient.ClientOption{InitAddress: []string{addr}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return rueidis.New(client, &rueidis.Options{Prefix: prefix})
}

func TestParallelRequestsLoseNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		m := mustNew(t, b, nil)
		br := newBrowser(t, shop(m))
		br.cookie = mustCreate(t, m, nil).Token().Reveal()
		if cookies := parallelWrites(br, 64); len(cookies) != 0 {
			t.Errorf("%d new cookies", len(cookies))
		}
		if got := len(fieldsOf(br)); got != 64 {
			t.Errorf("%d fields, want 64", got)
		}
	})
}

func TestParallelIncrementsAllCount(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		m := mustNew(t, b, nil)
		br := newBrowser(t, shop(m))
		s := mustCreate(t, m, map[string]string{"n": "5"})
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if i%2 == 0 {
					one := br.with(s.Token().Reveal())
					one.get("/count")
				} else if _, err := m.Increment(t.Context(), s.Token(), "n", 1); err != nil {
					t.Errorf("Increment = %v", err)
				}
			})
		}
		wg.Wait()
		if got := mustPeek(t, m, s).Get("n"); got != "1005" {
			t.Errorf("n = %s, want 1000 more than 5", got)
		}
	})
}

// A slow request that ends after the logout: the cookie stays dead, and no key comes back.
func TestSlowRequestAfterTheLogout(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		m := mustNew(t, b, nil)
		started, loggedOut := make(chan struct{}), make(chan struct{})
		h := routes(m, map[string]serve{
			"/slow": func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				close(started)
				<-loggedOut
				s.Set("a", "late")
			},
			"/logout": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if err := s.Destroy(r.Context()); err != nil {
					t.Errorf("Destroy = %v", err)
				}
			},
			"/read": func(w http.ResponseWriter, _ *http.Request, s *session.Session) { fmt.Fprint(w, sorted(s)) },
		})
		s := mustCreate(t, m, map[string]string{"a": "1"})
		br := newBrowser(t, h)
		br.cookie = s.Token().Reveal()
		var wg sync.WaitGroup
		slow := br.with(br.cookie)
		wg.Go(func() {
			if w := slow.get("/slow"); w.Code != http.StatusConflict || setsCookie(w) {
				t.Errorf("the slow request: %d, header %v, want 409 and no cookie", w.Code, w.Header())
			}
		})
		<-started
		old := br.cookie
		br.get("/logout")
		close(loggedOut)
		wg.Wait()
		if w := br.with(old).get("/read"); w.Body.String() != "" {
			t.Errorf("the old cookie reads %q", w.Body)
		}
		if _, err := b.Load(t.Context(), s.ID()); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("the record is back: %v", err)
		}
	})
}

func TestTakeIsOnceAcrossParallelRequests(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		m := mustNew(t, b, nil)
		flash := session.NewKey[string]("flash")
		for range 10 {
			s := mustCreate(t, m, map[string]string{"flash": "saved"})
			var got sync.Map
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() {
					mine, err := m.Load(t.Context(), s.Token())
					if err != nil {
						t.Errorf("Load = %v", err)
						return
					}
					switch v, err := flash.Take(t.Context(), mine); {
					case err == nil:
						got.Store(i, v)
					case !errors.Is(err, session.ErrNoField):
						t.Errorf("Take = %v", err)
					}
				})
			}
			wg.Wait()
			n := 0
			got.Range(func(_, v any) bool { n++; return v == "saved" })
			if n != 1 {
				t.Fatalf("%d requests got the value, want exactly one", n)
			}
		}
	})
}

func TestParallelRequestsRotateOnceOnEachStore(t *testing.T) {
	eachStore(t, func(t *testing.T, b backend.Backend) {
		var ahead time.Duration // the clock is set forward between requests, not while they run
		m := mustNew(t, b, &session.Options{
			RotateInterval: 5 * time.Minute, OnEvent: new(events).hook,
			Now: func() time.Time { return time.Now().Add(ahead) },
		})
		br := newBrowser(t, shop(m))
		br.cookie = mustCreate(t, m, nil).Token().Reveal()
		for round := range 5 {
			ahead += 5 * time.Minute
			cookies := parallelWrites(br, 32)
			if len(cookies) != 1 {
				t.Fatalf("round %d: %d new cookies, want exactly one", round, len(cookies))
			}
			br.cookie = cookies[0]
			if got := len(fieldsOf(br)); got != 32 {
				t.Errorf("round %d: %d fields, want all 32", round, got)
			}
			ahead += time.Minute
		}
	})
}

// A session made through one client is read, changed and ended through the other.
func TestClientsReadEachOthersSessions(t *testing.T) {
	server := redistest.Shared(t)
	prefix := server.Prefix(t)
	ctx := t.Context()
	managers := []*session.Manager{
		mustNew(t, onGoRedis(t, server.Addr(), prefix), nil),
		mustNew(t, onRueidis(t, server.Addr(), prefix), nil),
	}
	for i, first := range managers {
		second := managers[1-i]
		s := mustCreate(t, first, map[string]string{"username": "andrew"})
		if got, err := second.Increment(ctx, s.Token(), "page_views", 3); err != nil || got.Get("username") != "andrew" {
			t.Fatalf("Increment = %v, %v", got, err)
		}
		other := mustPeek(t, second, s)
		other.Login("andrew")
		if err := other.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if got := mustPeek(t, first, other); sorted(got) != "page_views=3 username=andrew" || got.Owner() != "andrew" {
			t.Errorf("fields = %q of %q", sorted(got), got.Owner())
		}
		if ids := listed(t, first, "andrew"); !slices.Equal(ids, []string{s.ID()}) {
			t.Errorf("listed = %q", ids)
		}
		if err := second.End(ctx, other.Token()); err != nil {
			t.Fatal(err)
		}
		if alive(t, first, other) {
			t.Error("the session has not ended")
		}
	}
}

// fields returns HGETALL of a key.
func fields(t *testing.T, client *redis.Client, key string) map[string]string {
	t.Helper()
	got, err := client.HGetAll(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A program that follows Redis's guide works on the same hash by the session's ID.
func TestAProgramThatFollowsTheGuideSharesTheData(t *testing.T) {
	server := redistest.Shared(t)
	prefix := server.Prefix(t)
	guide := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = guide.Close() })
	ctx := t.Context()
	for name, b := range map[string]backend.Backend{
		"goredis": onGoRedis(t, server.Addr(), prefix), "rueidis": onRueidis(t, server.Addr(), prefix),
	} {
		t.Run(name, func(t *testing.T) {
			m := mustNew(t, b, nil)
			s := mustCreate(t, m, map[string]string{"username": "andrew", "page_views": "0"})
			key := prefix + s.ID()
			stamp := s.CreatedAt().Format("2006-01-02T15:04:05") + "+00:00"
			got := fields(t, guide, key)
			want := map[string]string{
				"username": "andrew", "page_views": "0", "created_at": stamp, "last_accessed_at": stamp,
				"session_ttl": "1800", "session_token": got["session_token"],
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("HGETALL mismatch (-want +got):\n%s", diff)
			}
			if len(got["session_token"]) != 43 || strings.Contains(s.Token().Reveal(), got["session_token"]) {
				t.Errorf("session_token = %q", got["session_token"])
			}
			// It counts, and changes the TTL.
			for _, err := range []error{
				guide.HIncrBy(ctx, key, "page_views", 5).Err(),
				guide.HSet(ctx, key, "session_ttl", "120", "theme", "dark").Err(),
				guide.Expire(ctx, key, 120*time.Second).Err(),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			seen := mustPeek(t, m, s)
			if sorted(seen) != "page_views=5 theme=dark username=andrew" || seen.TTL() != 2*time.Minute {
				t.Errorf("the Manager sees %q, TTL %v", sorted(seen), seen.TTL())
			}
			if _, err := m.Touch(ctx, s.Token()); err != nil {
				t.Fatal(err)
			}
			if ttl := guide.TTL(ctx, key).Val(); ttl != 2*time.Minute {
				t.Errorf("TTL after a touch = %v, want the changed one", ttl)
			}
			for _, field := range []string{"created_at", "last_accessed_at", "session_ttl"} {
				s := mustCreate(t, m, nil)
				if err := guide.HDel(ctx, prefix+s.ID(), field).Err(); err != nil {
					t.Fatal(err)
				}
				if tokenAlive(t, m, s.Token()) {
					t.Errorf("a hash without %s is a session", field)
				}
				if _, err := m.Increment(ctx, s.Token(), "n", 1); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Increment without %s = %v, want ErrNotFound", field, err)
				}
				if guide.HExists(ctx, prefix+s.ID(), field).Val() {
					t.Errorf("a hash without %s was completed", field)
				}
			}
			if err := guide.Del(ctx, key).Err(); err != nil {
				t.Fatal(err)
			}
			if tokenAlive(t, m, s.Token()) {
				t.Error("the guide's logout left the session alive")
			}
		})
	}
}

func TestManagerRoundTripsOnRedisAreOneCommandEach(t *testing.T) {
	server := redistest.Start(t, nil)
	for name, b := range map[string]backend.Backend{
		"goredis": onGoRedis(t, server.Addr(), ""), "rueidis": onRueidis(t, server.Addr(), ""),
	} {
		m, ctx := mustNew(t, b, nil), context.Background()
		s := mustCreate(t, m, map[string]string{"n": "1"}) // and the scripts are there
		if _, err := m.Touch(ctx, s.Token()); err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func() error{
			"create":    func() error { _, err := m.Create(ctx, nil, 0); return err },
			"load":      func() error { _, err := m.Load(ctx, s.Token()); return err },
			"touch":     func() error { _, err := m.Touch(ctx, s.Token()); return err },
			"increment": func() error { _, err := m.Increment(ctx, s.Token(), "n", 1); return err },
			"set":       func() error { _, err := m.SetFields(ctx, s.Token(), map[string]string{"a": "1"}); return err },
		} {
			stop := server.Monitor(t)
			if err := do(); err != nil {
				t.Errorf("%s: %s = %v", name, what, err)
			}
			if sent := fromClients(stop()); len(sent) != 1 {
				t.Errorf("%s: %s sent %q, want one command", name, what, sent)
			}
		}
	}
}

// fromClients returns what clients sent, without what scripts call and what opens a connection.
func fromClients(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool {
		command := strings.ToUpper(line)
		return strings.Contains(line, " lua] ") || strings.Contains(command, `] "HELLO"`) || strings.Contains(command, `] "CLIENT"`)
	})
}
