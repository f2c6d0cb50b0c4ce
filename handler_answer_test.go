package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// These are about errors that a handler answers itself.

// A handler that is told that the session is too large answers that, and nothing is stored behind its back.
func TestHandlerAnswersThatItIsTooLarge(t *testing.T) {
	ev := new(events)
	m := mustNew(t, memory.New(nil), &session.Options{MaxBytes: 100, OnEvent: ev.hook})
	big := strings.Repeat("x", 200)
	h := routes(m, map[string]serve{
		"/set": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("note", r.FormValue("note"))
			if err := s.Commit(r.Context()); errors.Is(err, session.ErrTooLarge) {
				http.Error(w, "too long", http.StatusRequestEntityTooLarge)
			}
		},
		"/count": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("note", r.FormValue("note"))
			if _, err := s.Increment(r.Context(), "n", 1); errors.Is(err, session.ErrTooLarge) {
				http.Error(w, "too long", http.StatusRequestEntityTooLarge)
			}
		},
		"/update": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("note", r.FormValue("note"))
			_, err := s.Update(r.Context(), "n", func(string, bool) (string, error) { return "1", nil })
			if errors.Is(err, session.ErrTooLarge) {
				http.Error(w, "too long", http.StatusRequestEntityTooLarge)
			}
		},
		"/again": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("note", r.FormValue("note"))
			_ = s.Commit(r.Context())
			s.Set("a", "1")
		},
		"/undo": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("note", r.FormValue("note"))
			s.Set("a", "2")
			_ = s.Commit(r.Context())
			s.Delete("note")
		},
		"/unasked": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Set("note", r.FormValue("note"))
		},
	})
	const tooLarge, misuse = http.StatusRequestEntityTooLarge, http.StatusInternalServerError
	alone := strings.Repeat("y", 94) // which has no room for a counter beside it
	have := map[string]string{"a": "2", "note": "short"}
	for _, tt := range []struct {
		path, note string
		have       map[string]string // nil for a visitor without a session
		code       int
		left       string // what the store holds afterwards
	}{
		{"/set", big, nil, tooLarge, ""},
		{"/count", big, nil, misuse, ""}, // it was not asked to store the note
		{"/update", big, nil, misuse, ""},
		{"/again", big, nil, misuse, ""},
		{"/unasked", big, nil, misuse, ""},
		{"/undo", big, nil, http.StatusOK, "a=2"},
		{"/set", "fits", have, http.StatusOK, "a=2 note=fits"},
		{"/set", big, have, tooLarge, "a=2 note=short"},
		{"/count", big, have, misuse, "a=2 note=short"},
		{"/update", big, have, misuse, "a=2 note=short"},
		{"/again", big, have, misuse, "a=2 note=short"},
		{"/unasked", big, have, misuse, "a=2 note=short"},
		{"/undo", big, have, http.StatusOK, "a=2"},
		{"/count", alone, have, tooLarge, "a=2 note=" + alone},
		{"/update", alone, have, tooLarge, "a=2 note=" + alone},
	} {
		br := newBrowser(t, h)
		if tt.have != nil {
			br.cookie = mustCreate(t, m, tt.have).Token().Reveal()
		}
		ev.kinds()
		w := br.get(tt.path + "?note=" + tt.note)
		kinds, got := ev.kinds(), ""
		if br.cookie != "" {
			got = sorted(mustPeekToken(t, m, br.cookie))
		}
		if w.Code != tt.code || got != tt.left || strings.Contains(kinds, string(session.EventMisuse)) != (tt.code == misuse) {
			t.Errorf("%s with %d bytes = %d, events %q, and the store holds %q; want %d, %q",
				tt.path, len(tt.note), w.Code, kinds, got, tt.code, tt.left)
		}
	}
}

// Only what made it too large is dropped then: the session is touched, and what makes it smaller is stored.
func TestHandlerStoresTheRestOfWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		m := mustNew(t, b, quiet(session.Options{MaxBytes: 100}))
		h := routes(m, map[string]serve{
			"/set": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				s.Set("a", strings.Repeat("x", 200))
				_ = s.Commit(r.Context())
			},
			"/shrink": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				s.Delete("b")
				_, _ = s.Increment(r.Context(), "n", 1)
			},
		})
		br := newBrowser(t, h)
		big := map[string]string{"a": strings.Repeat("y", 200), "b": "1"} // from before the limit
		token := mustCreate(t, mustNew(t, b, quiet(session.Options{})), big).Token()
		br.cookie = token.Reveal()
		time.Sleep(2 * time.Minute)
		br.get("/set")
		if s := mustPeekToken(t, m, br.cookie); s.Remaining() != 30*time.Minute || s.Get("a") != big["a"] {
			t.Errorf("%v remaining, want 30m", s.Remaining())
		}
		br.get("/shrink")
		if s := mustPeekToken(t, m, br.cookie); sorted(s) != "a="+big["a"] {
			t.Errorf("the store holds %s", sorted(s))
		}
	})
}

// What is changed after that counts again: a login is not dropped with it.
func TestHandlerKeepsWhatIsNotTooLargeAnyMore(t *testing.T) {
	b := newSpy()
	m := mustNew(t, b, quiet(session.Options{MaxBytes: 100}))
	br := newBrowser(t, routes(m, map[string]serve{"/": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Login("andrew")
		s.Set("note", strings.Repeat("x", 200))
		if err := s.Commit(r.Context()); !errors.Is(err, session.ErrTooLarge) {
			t.Error(err)
		}
		b.mu.Lock()
		b.fail = map[string]error{"Apply": errStore}
		b.mu.Unlock()
		if _, _, err := s.Take(r.Context(), "note"); !errors.Is(err, errStore) {
			t.Error(err)
		}
		b.mu.Lock()
		b.fail = nil
		b.mu.Unlock()
	}}))
	br.cookie = mustCreate(t, m, map[string]string{"a": "1"}).Token().Reveal()
	if w := br.get("/"); w.Code != http.StatusOK || len(listed(t, m, "andrew")) != 1 {
		t.Errorf("%d, and andrew has %d sessions", w.Code, len(listed(t, m, "andrew")))
	}
}

// A TTL that is dropped does not count for the touch.
func TestHandlerTouchesByTheTTLThatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, memory.New(nil), quiet(session.Options{MaxBytes: 100}))
		s, err := m.Create(t.Context(), map[string]string{"a": "1"}, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		br := newBrowser(t, routes(m, map[string]serve{"/": func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			_ = s.SetTTL(time.Hour)
			s.Set("note", strings.Repeat("x", 200))
			_ = s.Commit(r.Context())
		}}))
		br.cookie = s.Token().Reveal()
		time.Sleep(6 * time.Second)
		br.get("/")
		time.Sleep(5 * time.Second)
		if !alive(t, m, s) {
			t.Error("the session was not touched, and has ended")
		}
	})
}

// A call that was made, though too few replicas have it, is not taken back here, and one that found the session ended
// leaves nothing behind.
func TestFailedCallThatWasMade(t *testing.T) {
	b := newSpy()
	m, ctx := mustNew(t, b, quiet(session.Options{})), t.Context()
	s := m.NewSession()
	b.lose = map[string]error{"Create": session.ErrNotReplicated}
	if _, err := s.Increment(ctx, "n", 1); !errors.Is(err, session.ErrNotReplicated) || s.Get("n") != "1" {
		t.Errorf("Increment = %v, and n = %q", err, s.Get("n"))
	}
	b.lose = nil
	s.Set("n", "7")
	if err := m.End(ctx, s.Token()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Increment(ctx, "n", 1); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Increment = %v", err)
	}
	if mustCommit(t, s); s.Exists() || sorted(s) != "" {
		t.Errorf("a new session holds %s", sorted(s))
	}
}

// Nor does one that was refused leave its count in sight.
func TestRefusedCountIsNotSeen(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"n": "5"})
	view := mustLoad(t, m, s.Token())
	s.Rotate()
	mustCommit(t, s)
	view.Set("n", "7")
	if _, err := view.Increment(ctx, "n", 1); !errors.Is(err, session.ErrConflict) || view.Get("n") == "8" {
		t.Errorf("Increment = %v, and n = %s", err, view.Get("n"))
	}
}

// What stores at once and fails is not made up for when the handler ends, in a new session as little as in one that is
// stored: the handler has answered that it failed.
func TestFailedCallIsNotMadeUpFor(t *testing.T) {
	calls := map[string]func(ctx context.Context, s *session.Session) error{
		"Increment": func(ctx context.Context, s *session.Session) error { _, err := s.Increment(ctx, "n", 1); return err },
		"Update": func(ctx context.Context, s *session.Session) error {
			_, err := s.Update(ctx, "n", func(v string, _ bool) (string, error) { return v + "1", nil })
			return err
		},
	}
	for name, call := range calls {
		for _, tt := range []struct {
			name     string
			existing bool
			prepare  func(s *session.Session)
			left     string
		}{
			{"new session", false, nil, ""},
			{"new session with more", false, func(s *session.Session) { s.Set("a", "2") }, "a=2"},
			{"new session, set before", false, func(s *session.Session) { s.Set("n", "7") }, "n=7"},
			{"stored", true, nil, "a=1 n=5"},
			{"stored, set before", true, func(s *session.Session) { s.Set("n", "7") }, "a=1 n=7"},
			{"stored, deleted before", true, func(s *session.Session) { s.Delete("n") }, "a=1"},
		} {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				b := newSpy()
				m := mustNew(t, b, quiet(session.Options{}))
				br := newBrowser(t, routes(m, map[string]serve{"/": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					if tt.prepare != nil {
						tt.prepare(s)
					}
					b.mu.Lock()
					b.fail = map[string]error{"Create": errStore, "Apply": errStore}
					b.mu.Unlock()
					if err := call(r.Context(), s); !errors.Is(err, errStore) {
						t.Errorf("%v, want %v", err, errStore)
					}
					b.mu.Lock()
					b.fail = nil // the store is back
					b.mu.Unlock()
					http.Error(w, "try again", http.StatusTeapot)
				}}))
				if tt.existing {
					br.cookie = mustCreate(t, m, map[string]string{"a": "1", "n": "5"}).Token().Reveal()
				}
				w := br.get("/")
				got := ""
				if br.cookie != "" {
					got = sorted(mustPeekToken(t, m, br.cookie))
				}
				if w.Code != http.StatusTeapot || got != tt.left {
					t.Errorf("%d, and the store holds %q, want %q", w.Code, got, tt.left)
				}
			})
		}
	}
}

// A login whose session has ended is made in a new one; a counter that went along and failed is not.
func TestFailedCountOfALoginIsNotMadeUpFor(t *testing.T) {
	f := &faulty{Backend: memory.New(nil)}
	m, ctx := mustNew(t, f, quiet(session.Options{})), t.Context()
	s := mustCreate(t, m, map[string]string{"n": "5"})
	if err := m.End(ctx, s.Token()); err != nil {
		t.Fatal(err)
	}
	s.Login("andrew")
	f.before = once(func(method, id string, _ backend.Patch) bool { return method == "Create" && !isIndex(id) })
	if _, err := s.Increment(ctx, "n", 1); !errors.Is(err, errStore) {
		t.Fatalf("Increment = %v, want %v", err, errStore)
	}
	mustCommit(t, s)
	if got := mustPeek(t, m, s); sorted(got) != "" || got.Owner() != "andrew" {
		t.Errorf("the new session of %q holds %s", got.Owner(), sorted(got))
	}
}

// A change that comes when the handler has returned, from a goroutine, is told of.
func TestChangeAfterTheHandlerHasReturned(t *testing.T) {
	ev := new(events)
	m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
	var kept *session.Session
	br := newBrowser(t, routes(m, map[string]serve{"/": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Set("a", "1")
		kept = s
	}}))
	br.get("/")
	ev.kinds()
	kept.Set("a", "2")
	kept.Set("a", "3")
	if got := ev.kinds(); got != string(session.EventLateChange) {
		t.Errorf("events %q, want one late change", got)
	}
	if err := kept.Err(); !errors.Is(err, session.ErrCommitted) || !strings.Contains(fmt.Sprint(err), `field "a"`) {
		t.Errorf("Err = %v, want one that names the field", err)
	}
}

// So is one in a session that is first asked for then, and one that is a misuse besides.
func TestFirstChangeAfterTheHandlerHasReturned(t *testing.T) {
	for name, change := range map[string]func(s *session.Session){
		"set":      func(s *session.Session) { s.Set("a", "1") },
		"reserved": func(s *session.Session) { s.Set("session_x", "1") },
		"nobody":   func(s *session.Session) { s.Login("") },
	} {
		ev := new(events)
		m := mustNew(t, memory.New(nil), &session.Options{OnEvent: ev.hook})
		var kept *http.Request
		br := newBrowser(t, m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept = r })))
		br.get("/")
		s, err := m.Get(kept)
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		s.Set("a", "1")
		if got := ev.kinds(); got != string(session.EventLateChange) {
			t.Errorf("%s: events %q, want one late change", name, got)
		}
	}
}

func TestCounterErrorNamesTheField(t *testing.T) {
	m, ctx := mustNew(t, memory.New(nil), nil), t.Context()
	stored := mustCreate(t, m, map[string]string{"views": "many"})
	fresh := m.NewSession()
	fresh.Set("views", "many")
	for _, s := range []*session.Session{stored, fresh} {
		_, err := s.Increment(ctx, "views", 1)
		if !errors.Is(err, session.ErrCounter) || !strings.Contains(fmt.Sprint(err), `field "views"`) {
			t.Errorf("Increment = %v", err)
		}
	}
}

// What Commit has told is told, whatever is stored by itself afterwards.
func TestTooLargeAndThenStored(t *testing.T) {
	for name, then := range map[string]func(r *http.Request, s *session.Session) error{
		"nothing": func(*http.Request, *session.Session) error { return nil },
		"Increment": func(r *http.Request, s *session.Session) error {
			_, err := s.Increment(r.Context(), "n", 1)
			return err
		},
		"Update": func(r *http.Request, s *session.Session) error {
			_, err := s.Update(r.Context(), "u", func(string, bool) (string, error) { return "x", nil })
			return err
		},
	} {
		m := mustNew(t, memory.New(nil), quiet(session.Options{MaxBytes: 100}))
		br := newBrowser(t, routes(m, map[string]serve{
			"/small": func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { s.Set("n", "1") },
			"/large": func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				s.Set("big", strings.Repeat("x", 200))
				if err := s.Commit(r.Context()); !errors.Is(err, session.ErrTooLarge) {
					t.Errorf("Commit = %v, want ErrTooLarge", err)
				}
				if err := then(r, s); err != nil && !errors.Is(err, session.ErrTooLarge) {
					t.Errorf("%s = %v", name, err)
				}
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			},
		}))
		br.get("/small")
		if w := br.get("/large"); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d, want the handler's", name, w.Code)
		}
	}
}

// The cookie takes the place of one that is there, as in a browser, and is never one of no session.
func TestAddCookieReplaces(t *testing.T) {
	m := mustNew(t, memory.New(nil), nil)
	one, two := mustCreate(t, m, nil), mustCreate(t, m, nil)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "lang", Value: "en, de", Quoted: true})
	m.AddCookie(r, one)
	m.AddCookie(r, two)
	token, ok := m.RequestToken(r)
	if lang, err := r.Cookie("lang"); !ok || token.ID() != two.ID() || err != nil || lang.Value != "en, de" || len(r.Cookies()) != 2 {
		t.Errorf("Cookie: %q", r.Header["Cookie"])
	}
	for _, malformed := range []string{`__Host-sid=a"b`, `__Host-sid="`, `__Host-sid`, `__Host-sid=x y`} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", malformed)
		m.AddCookie(r, one)
		if token, ok := m.RequestToken(r); !ok || token.ID() != one.ID() {
			t.Errorf("Cookie: %q", r.Header["Cookie"])
		}
	}
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "Commit") {
			t.Errorf("panic %v, want one that says what to do", p)
		}
	}()
	m.AddCookie(r, m.NewSession())
}
