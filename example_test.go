package session_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend/memory"
)

// A site with a login: the session is there for every handler behind Manager.Handler.
func Example() {
	sessions, err := session.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Get(r)
		if err != nil {
			return // the store did not answer: 503 is sent in this handler's place
		}
		// … check the password …
		s.Login("user-42") // a new token; the old one dies
		s.Set("name", r.FormValue("name"))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Get(r)
		if err != nil {
			return
		}
		if s.Owner() == "" {
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		views, err := s.Increment(r.Context(), "page_views", 1)
		if err != nil {
			// Nothing was written, or the outcome is unknown: it is never sent twice.
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "Hello %s, view %d", s.Get("name"), views)
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Get(r)
		if err != nil {
			return
		}
		if err := s.Destroy(r.Context()); err != nil { // at once, in the store
			http.Error(w, "You are still logged in: try again.", http.StatusServiceUnavailable)
		}
	})
	handler := http.NewCrossOriginProtection().Handler(sessions.Handler(mux))

	// What a browser sees of it.
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/login?name=Andrew", nil))
	cookie := w.Result().Cookies()[0]
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(cookie)
	w = httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(cookie.Name, w.Code, w.Body)
	// Output: __Host-sid 200 Hello Andrew, view 1
}

// In a unit test, the memory backend stands in for Redis: a handler is tested with a session that is already
// logged in.
func Example_unitTest() {
	sessions, err := session.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	profile := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Get(r)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "profile of %s", s.Owner())
	})

	r := httptest.NewRequest("GET", "/profile", nil)
	s := sessions.NewSession()
	s.Login("user-42")
	if err := s.Commit(r.Context()); err != nil {
		log.Fatal(err)
	}
	sessions.AddCookie(r, s)

	w := httptest.NewRecorder()
	sessions.Handler(profile).ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output: profile of user-42
}

// Typed fields are declared once, with their name and type.
func ExampleKey() {
	type Cart struct{ Items []string }
	var cart = session.NewKey[Cart]("cart")

	sessions, _ := session.New(memory.New(nil), nil)
	s := sessions.NewSession()
	if _, err := cart.Get(s); errors.Is(err, session.ErrNoField) {
		fmt.Println("no cart yet")
	}
	if err := cart.Set(s, Cart{Items: []string{"tea", "milk"}}); err != nil {
		log.Fatal(err)
	}
	c, err := cart.Get(s)
	fmt.Println(c.Items, err, s.Get("cart"))
	// Output:
	// no cart yet
	// [tea milk] <nil> {"Items":["tea","milk"]}
}

// A flash message is shown once, by whichever request comes first.
func ExampleKey_Take() {
	var flash = session.NewKey[string]("flash")
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()

	s, _ := sessions.Create(ctx, map[string]string{"flash": "Saved."}, 0)
	message, err := flash.Take(ctx, s)
	fmt.Println(message, err)
	_, err = flash.Take(ctx, s)
	fmt.Println(errors.Is(err, session.ErrNoField))
	// Output:
	// Saved. <nil>
	// true
}

// Two requests put something into a cart at the same time: both are in it.
func ExampleKey_Update() {
	var cart = session.NewKey[[]string]("cart")
	add := func(item string) func([]string) ([]string, error) {
		return func(items []string) ([]string, error) { return append(items, item), nil }
	}
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()

	s, _ := sessions.Create(ctx, map[string]string{"cart": "[]"}, 0)
	one, _ := sessions.Load(ctx, s.Token())
	two, _ := sessions.Load(ctx, s.Token())
	items, err := cart.Update(ctx, one, add("tea"))
	fmt.Println(items, err)
	items, err = cart.Update(ctx, two, add("milk"))
	fmt.Println(items, err)
	// Output:
	// [tea] <nil>
	// [tea milk] <nil>
}

// A page that lists a user's sessions, with a way to end the others.
func ExampleSession_RevokeOthers() {
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()
	login := func(device string) *session.Session {
		s := sessions.NewSession()
		s.Login("user-42")
		s.SetLabel(device)
		if err := s.Commit(ctx); err != nil {
			log.Fatal(err)
		}
		return s
	}
	login("phone")
	here := login("laptop")

	all, err := here.Sessions(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(all), "sessions")
	ended, err := here.RevokeOthers(ctx)
	fmt.Println(ended, "ended", err)
	all, err = here.Sessions(ctx)
	fmt.Println(all[0].Label, all[0].Current, err)
	// Output:
	// 2 sessions
	// 1 ended <nil>
	// laptop true <nil>
}

// An administrator ends all sessions of a user, wherever they are.
func ExampleManager_RevokeAll() {
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()
	for range 3 {
		s := sessions.NewSession()
		s.Login("user-42")
		if err := s.Commit(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(sessions.RevokeAll(ctx, "user-42"))
	// Output: 3 <nil>
}

// Outside of HTTP handlers, a session is used by its token: one round trip a call.
func ExampleManager_Touch() {
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()
	s, err := sessions.Create(ctx, map[string]string{"username": "andrew"}, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	token := s.Token() // for a gRPC metadata field, a WebSocket's first message, …

	s, err = sessions.Touch(ctx, token)
	fmt.Println(s.Get("username"), err)
	s, err = sessions.Increment(ctx, token, "page_views", 1)
	fmt.Println(s.Get("page_views"), err)
	fmt.Println(sessions.End(ctx, token))
	_, err = sessions.Touch(ctx, token)
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// andrew <nil>
	// 1 <nil>
	// <nil>
	// true
}

// Something that matters wants a login that is not old.
func ExampleSession_AuthenticatedWithin() {
	sessions, _ := session.New(memory.New(nil), nil)
	h := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Get(r)
		if err != nil {
			return
		}
		recent, err := s.AuthenticatedWithin(r.Context(), 5*time.Minute)
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		if !recent {
			http.Redirect(w, r, "/login?next=/transfer", http.StatusSeeOther)
			return
		}
		fmt.Fprint(w, "transferred")
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/transfer", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /login?next=/transfer
}

// "Keep me logged in" is a choice that the user makes at the login.
func ExampleSession_Remember() {
	sessions, _ := session.New(memory.New(nil), &session.Options{
		IdleTimeout:             session.AAL2IdleTimeout,
		AbsoluteTimeout:         session.AAL2AbsoluteTimeout,
		RememberAbsoluteTimeout: session.AAL1AbsoluteTimeout,
	})
	s := sessions.NewSession()
	s.Login("user-42")
	s.Remember()
	if err := s.Commit(context.Background()); err != nil {
		log.Fatal(err)
	}
	h := make(http.Header)
	sessions.WriteCookie(h, s) // Manager.Handler does it by itself
	cookie, err := http.ParseSetCookie(h.Get("Set-Cookie"))
	fmt.Println((time.Duration(cookie.MaxAge) * time.Second).Round(time.Hour), err)
	// Output: 720h0m0s <nil>
}
