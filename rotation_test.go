package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// rotating returns a Manager whose tokens are replaced every five minutes, and a browser with a session.
func rotating(t *testing.T, b *spy, ev *events) (*session.Manager, *browser) {
	t.Helper()
	m := mustNew(t, b, &session.Options{RotateInterval: 5 * time.Minute, OnEvent: ev.hook})
	br := newBrowser(t, shop(m))
	br.cookie = mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
	b.took()
	ev.kinds()
	return m, br
}

// with returns a browser that still has an older cookie.
func (b *browser) with(cookie string) *browser { return &browser{b.t, b.handler, b.name, cookie} }

func (b *browser) wantRead(what, want string, newCookie bool) {
	b.t.Helper()
	w := b.get("/read")
	if w.Code != http.StatusOK || w.Body.String() != want || setsCookie(w) != newCookie {
		b.t.Errorf("%s: %d %q, Set-Cookie %q; want %q, a new cookie: %v", what, w.Code, w.Body, w.Header()["Set-Cookie"], want, newCookie)
	}
}

func TestTimedRotationReplacesTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ev := newSpy(), new(events)
		m, br := rotating(t, b, ev)
		before := mustPeekToken(t, m, br.cookie)
		time.Sleep(5*time.Minute - time.Second)
		br.wantRead("before it is due", "1", false)
		time.Sleep(time.Second)
		first := br.cookie
		b.took()
		br.wantRead("when it is due", "1", true)
		if got := b.took(); got != "Load Apply" || br.cookie == first || br.cookie[:16] != first[:16] {
			t.Errorf("took %q, cookie %q after %q: want another token of the same session", got, br.cookie, first)
		}
		if got := ev.kinds(); got != string(session.EventRotated) {
			t.Errorf("events %q, want rotated", got)
		}
		br.wantRead("with the new one", "1", false)
		after := mustPeekToken(t, m, br.cookie)
		if after.Get("a") != "1" || !after.CreatedAt().Equal(before.CreatedAt()) {
			t.Errorf("rotation changed the data: %q, created %v", sorted(after), after.CreatedAt())
		}
		time.Sleep(5 * time.Minute)
		br.wantRead("when it is due again", "1", true)
	})
}

func mustPeekToken(t *testing.T, m *session.Manager, token string) *session.Session {
	t.Helper()
	s, err := m.Peek(t.Context(), parse(t, token))
	if err != nil {
		t.Fatalf("Peek = %v", err)
	}
	return s
}

func TestPreviousTokenIsGoodUntilTheNewOneIsSeenAndAGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := new(events)
		m, br := rotating(t, newSpy(), ev)
		time.Sleep(5 * time.Minute)
		old := br.with(br.cookie)
		br.wantRead("rotation", "1", true)
		// Parallel tabs go on with the old one, and are not given another at once.
		time.Sleep(9 * time.Second)
		old.with(old.cookie).wantRead("the old one, while the new is on its way", "1", false)
		br.wantRead("the new one is seen", "1", false)
		time.Sleep(11*time.Second - time.Nanosecond) // times are whole seconds
		old.with(old.cookie).wantRead("the old one within the grace", "1", false)
		if w := old.with(old.cookie).get("/write?a=2"); w.Code != http.StatusOK {
			t.Errorf("a write with the old one within the grace: %d", w.Code)
		}
		ev.kinds()
		time.Sleep(time.Nanosecond)
		// Now only a thief, or whoever was robbed, has it.
		old.wantRead("the old one after the grace", "", false)
		if got := ev.kinds(); got != string(session.EventReused) {
			t.Errorf("events %q, want reused", got)
		}
		br.wantRead("the new one afterwards: the session has ended", "", false)
		if _, err := m.Load(t.Context(), parse(t, br.cookie)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load = %v, want ErrNotFound", err)
		}
	})
}

func TestClientThatNeverGotTheNewTokenIsGivenAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, br := rotating(t, newSpy(), new(events))
		time.Sleep(5 * time.Minute)
		first := br.cookie
		br.wantRead("rotation, whose response is lost", "1", true)
		lost := br.cookie
		br.cookie = first
		for range 3 {
			time.Sleep(10 * time.Second)
			br.with(first).wantRead("within RotateGrace of the last one", "1", false)
			time.Sleep(time.Second)
			br.cookie = first
			br.wantRead("after RotateGrace", "1", true)
			if br.cookie == first || br.cookie == lost {
				t.Fatal("not another token")
			}
		}
		br.wantRead("with the one that arrived", "1", false)
		br.with(lost).wantRead("with the one that was lost", "", false) // it changes nothing
		br.wantRead("with the one that arrived, still", "1", false)
	})
}

// A handler that stores twice, the first time with the new token, has not seen the client present it.
func TestSecondCommitDoesNotTakeTheNewTokenForSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := new(events)
		_, br := rotating(t, newSpy(), ev)
		time.Sleep(5 * time.Minute)
		lost := br.with(br.cookie)
		if w := lost.get("/count"); !setsCookie(w) {
			t.Fatal("the token was not rotated")
		}
		time.Sleep(2 * time.Minute)
		br.wantRead("with the token before, after its grace", "1", true)
		if got := ev.kinds(); strings.Contains(got, string(session.EventReused)) {
			t.Errorf("events %q: the client whose response was lost is taken for a thief", got)
		}
	})
}

func TestIdleClientThatNeverGotTheNewTokenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, br := rotating(t, newSpy(), new(events))
		time.Sleep(5 * time.Minute)
		first := br.cookie
		br.wantRead("rotation, whose response is lost", "1", true)
		br.cookie = first
		time.Sleep(29 * time.Minute)
		br.wantRead("much later", "1", true)
	})
}

func TestRandomSecretUnderAKnownIDChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := new(events)
		_, br := rotating(t, newSpy(), ev)
		time.Sleep(5 * time.Minute)
		br.wantRead("rotation", "1", true)
		time.Sleep(time.Minute)
		br.wantRead("seen", "1", false)
		time.Sleep(time.Minute)
		br.with(br.cookie[:16]+strings.Repeat("A", 27)).wantRead("a guess", "", false)
		if got := ev.kinds(); !strings.HasSuffix(got, string(session.EventMismatch)) {
			t.Errorf("events %q, want a mismatch", got)
		}
		br.wantRead("the session", "1", false)
	})
}

func TestParallelRequestsRotateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := new(events)
		_, br := rotating(t, newSpy(), ev)
		time.Sleep(5 * time.Minute)
		cookies := parallelWrites(br, 63)
		if len(cookies) != 1 {
			t.Fatalf("%d new cookies, want exactly one", len(cookies))
		}
		if got := strings.Count(ev.kinds(), string(session.EventRotated)); got != 1 {
			t.Errorf("%d rotations, want one", got)
		}
		br.cookie = cookies[0]
		if got := len(fieldsOf(br)); got != 64 {
			t.Errorf("%d fields, want all 64", got)
		}
	})
}

// parallelWrites sends n requests at once, each of which sets a field, and returns the new cookies.
func parallelWrites(br *browser, n int) []string {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		cookies []string
	)
	for i := range n {
		wg.Go(func() {
			one := br.with(br.cookie)
			if w := one.get("/field?" + fieldName(i)); w.Code != http.StatusOK {
				br.t.Errorf("request %d: %d", i, w.Code)
			}
			if one.cookie != br.cookie {
				mu.Lock()
				cookies = append(cookies, one.cookie)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return cookies
}

func fieldName(i int) string { return "f" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }

func fieldsOf(br *browser) []string { return strings.Fields(br.get("/all").Body.String()) }

func TestLoginAndRotateByHandLeaveNoGrace(t *testing.T) {
	for _, path := range []string{"/login", "/rotate"} {
		synctest.Test(t, func(t *testing.T) {
			ev := new(events)
			_, br := rotating(t, newSpy(), ev)
			time.Sleep(5 * time.Minute)
			oldest := br.cookie
			br.wantRead("timed rotation", "1", true)
			old := br.cookie
			br.get(path)
			if br.cookie == old {
				t.Fatalf("%s: no new token", path)
			}
			for _, cookie := range []string{old, oldest} {
				if w := br.with(cookie).get("/read"); w.Body.String() != "" {
					t.Errorf("%s: an older token still reads %q", path, w.Body)
				}
			}
			if w := br.get("/read"); w.Body.String() == "" {
				t.Errorf("%s: the session ended with the old token's return", path)
			}
			if strings.Contains(ev.kinds(), string(session.EventReused)) {
				t.Errorf("%s: an older token is no theft", path)
			}
			time.Sleep(5*time.Minute - time.Second)
			if w := br.get("/read"); setsCookie(w) {
				t.Errorf("%s: rotated again before its time", path)
			}
			time.Sleep(time.Second)
			if w := br.get("/read"); !setsCookie(w) {
				t.Errorf("%s: not rotated when it was due", path)
			}
		})
	}
}

func TestRotationExtendsNoLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, newSpy(), &session.Options{
			IdleTimeout: 10 * time.Minute, AbsoluteTimeout: time.Hour, RotateInterval: time.Minute,
		})
		br := newBrowser(t, shop(m))
		br.get("/write?a=1")
		for range 59 {
			time.Sleep(time.Minute)
			if w := br.get("/read"); w.Body.String() != "1" {
				t.Fatal("the session ended early")
			}
		}
		time.Sleep(time.Minute)
		br.wantRead("after an hour", "", false)
	})
}

func TestByTokenTakesThePreviousTokenWithinItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ev := newSpy(), new(events)
		m, br := rotating(t, b, ev)
		ctx := t.Context()
		time.Sleep(5 * time.Minute)
		old := parse(t, br.cookie)
		br.wantRead("rotation", "1", true)
		b.took()
		if s, err := m.Increment(ctx, old, "n", 1); err != nil || s.Get("n") != "1" {
			t.Errorf("Increment with the previous token = %v", err)
		}
		if got := b.took(); got != "Apply Load Apply" {
			t.Errorf("took %q", got)
		}
		if _, err := m.Touch(ctx, old); err != nil {
			t.Errorf("Touch with the previous token = %v", err)
		}
		br.wantRead("the new one is seen", "1", false)
		if err := m.End(ctx, old); err != nil {
			t.Errorf("End with the previous token within its grace = %v", err)
		}
		br.wantRead("the session has ended", "", false)
	})
}

func TestRotationWhoseOutcomeIsUnknownLogsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]func(*spy){
			"not done": func(b *spy) { b.fail = map[string]error{"Apply": errStore} },
			"done":     func(b *spy) { b.lose = map[string]error{"Apply": errStore} },
		} {
			b := newSpy()
			_, br := rotating(t, b, new(events))
			time.Sleep(5 * time.Minute)
			fault(b)
			br.wantRead(name+": the read itself", "1", false)
			b.fail, b.lose = nil, nil
			time.Sleep(11 * time.Second)
			br.wantRead(name+": afterwards", "1", true)
			br.wantRead(name+": with the new one", "1", false)
		}
	})
}

// A request that took long must not mark a newer token than its own as seen.
func TestSlowRequestDoesNotMarkANewerTokenAsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m, br := rotating(t, b, new(events))
		time.Sleep(5 * time.Minute)
		br.wantRead("first rotation", "1", true)
		second := br.cookie
		slow, err := m.Load(t.Context(), parse(t, second)) // has not committed: not seen yet
		if err != nil {
			t.Fatal(err)
		}
		br.wantRead("seen", "1", false)
		time.Sleep(5 * time.Minute)
		br.wantRead("second rotation, whose response is lost", "1", true)
		if err := slow.Commit(t.Context()); err != nil {
			t.Fatalf("Commit of the slow request = %v", err)
		}
		time.Sleep(time.Minute)
		br.with(second).wantRead("the client that never got the third token", "1", true)
	})
}

func TestPeekDoesNotRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m, br := rotating(t, b, new(events))
		time.Sleep(5 * time.Minute)
		s := mustPeekToken(t, m, br.cookie)
		b.took()
		if err := s.Commit(t.Context()); err != nil || b.took() != "" {
			t.Errorf("Commit of a peek = %v, or it wrote", err)
		}
	})
}

func TestReuseLosesAgainstALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy()
		m, br := rotating(t, b, new(events))
		time.Sleep(5 * time.Minute)
		old := br.with(br.cookie)
		br.wantRead("rotation", "1", true)
		br.wantRead("seen", "1", false)
		time.Sleep(time.Minute)
		s, err := m.Load(t.Context(), parse(t, br.cookie))
		if err != nil {
			t.Fatal(err)
		}
		b.before = map[string]func(string){"Apply": func(string) { // between the thief's read and the end
			s.Login("andrew")
			if err := s.Commit(context.Background()); err != nil {
				t.Error(err)
			}
		}}
		old.wantRead("the thief", "", false)
		if _, err := m.Load(t.Context(), s.Token()); err != nil {
			t.Errorf("the session of the login = %v", err)
		}
	})
}

// A time far ahead, which only another program can have written, has not passed.
func TestGraceOfATimeFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		m, ctx := mustNew(t, store, quiet(session.Options{RotateInterval: time.Minute})), t.Context()
		s := mustCreate(t, m, nil)
		old := s.Token()
		time.Sleep(time.Minute)
		mustCommit(t, s)
		for _, at := range []string{"2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
			p := backend.Patch{Set: map[string]string{"session_seen_at": at}}
			if _, err := store.Apply(ctx, s.ID(), p); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Load(ctx, old); err != nil {
				t.Errorf("presented at %s: %v", at, err)
			}
		}
	})
}
