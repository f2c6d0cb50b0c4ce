package session_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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
	if err != nil {
		log.Fatal(err) // session.ErrNotFound if it has ended
	}
	fmt.Println(s.Get("username"))
	s, err = sessions.Increment(ctx, token, "page_views", 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Get("page_views"))
	fmt.Println(sessions.End(ctx, token))
	_, err = sessions.Touch(ctx, token)
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// andrew
	// 1
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

// A login keeps what the visitor has gathered, and gives out a new token.
func ExampleSession_Login() {
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()
	s, err := sessions.Create(ctx, map[string]string{"cart": "tea"}, 0)
	if err != nil {
		log.Fatal(err)
	}
	before := s.Token()

	s.Login("user-42")
	s.Set("name", "Andrew")
	if err := s.Commit(ctx); err != nil { // Manager.Handler does it by itself
		log.Fatal(err)
	}
	fmt.Println(s.Owner(), s.Get("name"), s.Get("cart"))
	_, err = sessions.Load(ctx, before)
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// user-42 Andrew tea
	// true
}

// Where users decide how much a session holds, a handler commits by itself, and answers what that refuses.
func ExampleSession_Commit() {
	sessions, _ := session.New(memory.New(nil), &session.Options{MaxBytes: 100})
	h := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessions.Get(r)
		if err != nil {
			return
		}
		s.Set("note", r.FormValue("note"))
		switch err := s.Commit(r.Context()); {
		case errors.Is(err, session.ErrTooLarge):
			http.Error(w, "that note is too long", http.StatusBadRequest)
		case err != nil:
			session.DefaultErrorHandler(w, r, err)
		default:
			fmt.Fprint(w, "saved")
		}
	}))
	for _, note := range []string{"short", strings.Repeat("long", 100)} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/note?note="+note, nil))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 saved
	// 400 that note is too long
}

// A stream outlives its request, and ends with the session.
func ExampleSession_Alive() {
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()
	s, err := sessions.Create(ctx, nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	for event := range 3 { // a WebSocket would ask every few seconds
		alive, err := s.Alive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if !alive {
			fmt.Println("logged out")
			break
		}
		fmt.Println("event", event)
		if event == 1 { // the user logs out elsewhere
			if err := sessions.End(ctx, s.Token()); err != nil {
				log.Fatal(err)
			}
		}
	}
	// Output:
	// event 0
	// event 1
	// logged out
}

// Without the middleware, whoever renews a token tells the client.
func ExampleManager_Load() {
	sessions, _ := session.New(memory.New(nil), nil)
	serve := func(w http.ResponseWriter, r *http.Request) {
		token, _ := sessions.RequestToken(r) // the zero Token finds no session
		s, err := sessions.Load(r.Context(), token)
		if errors.Is(err, session.ErrNotFound) {
			s = sessions.NewSession()
		} else if err != nil {
			session.DefaultErrorHandler(w, r, err)
			return
		}
		s.Login("user-42")
		if err := s.Commit(r.Context()); err != nil {
			session.DefaultErrorHandler(w, r, err)
			return
		}
		sessions.WriteCookie(w.Header(), s)
		fmt.Fprint(w, "welcome, ", s.Owner())
	}
	s, err := sessions.Create(context.Background(), nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/login", nil)
	sessions.AddCookie(r, s)
	w := httptest.NewRecorder()
	serve(w, r)
	cookies := w.Result().Cookies()
	fmt.Println(w.Body, len(cookies), cookies[0].Value == s.Token().Reveal())
	// Output: welcome, user-42 1 false
}

// Counters count in the store: parallel requests all count.
func ExampleCounter() {
	var views = session.NewCounter("page_views")
	sessions, _ := session.New(memory.New(nil), nil)
	ctx := context.Background()
	s, err := sessions.Create(ctx, nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			s, err := sessions.Load(ctx, s.Token()) // as each request does
			if err != nil {
				log.Fatal(err)
			}
			if _, err := views.Add(ctx, s, 1); err != nil {
				log.Fatal(err)
			}
		})
	}
	wg.Wait()
	s, err = sessions.Load(ctx, s.Token())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(views.Get(s))
	// Output: 10 <nil>
}
