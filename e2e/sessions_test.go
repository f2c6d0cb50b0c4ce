package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestBrowsersEndEachOther has two browsers of one user see each other come and go.
func TestBrowsersEndEachOther(t *testing.T) {
	onEachBackend(t, nil, func(t *testing.T, d *demo) {
		a := newBrowser(t, d)
		a.login("andrew", 600)
		stranger := newBrowser(t, d)
		stranger.login("Andrew", 600)
		b := newBrowser(t, d)
		b.login("andrew", 600)
		a.sessions(2)
		b.sessions(2)

		a.click("#sessions li button")
		a.says("message", "The session of Chrome on Linux is ended")
		a.sessions(1)
		b.says("message", "Your session has been ended elsewhere")
		b.says("start-title", "Start a session")

		b.login("andrew", 600)
		c := newBrowser(t, d)
		c.login("andrew", 600)
		a.sessions(3)
		a.click("#end-others")
		a.says("message", "2 other sessions are ended")
		a.sessions(1)
		a.until(`document.getElementById("end-others").hidden`)
		b.says("message", "Your session has been ended elsewhere")
		c.says("message", "Your session has been ended elsewhere")

		b.login("andrew", 600)
		a.sessions(2)
		b.click("#logout")
		b.says("message", "You are logged out")
		a.sessions(1)
		a.says("active-title", "Hello, andrew")
		stranger.sessions(1)
		stranger.says("active-title", "Hello, Andrew")
	})
}

// TestTwoLooksSeeOneEnd has the page ask twice at the same time how a session stands that has just been ended: the
// second answer does not make of that end another one.
func TestTwoLooksSeeOneEnd(t *testing.T) {
	onEachBackend(t, nil, func(t *testing.T, d *demo) {
		b := newBrowser(t, d)
		b.login("andrew", 600)
		eval[bool](b, `(async () => {
			await fetch("/logout", { method: "POST" });
			await Promise.all([look(), look()]);
			window.looked = true;
		})(), true`)
		b.until(`window.looked`)
		b.says("message", "Your session has been ended elsewhere")
	})
}

// TestWindowsShareSession has two windows of one browser follow each other.
func TestWindowsShareSession(t *testing.T) {
	onEachBackend(t, nil, func(t *testing.T, d *demo) {
		a := newBrowser(t, d)
		a.login("andrew", 600)
		b := a.newWindow()
		b.says("active-title", "Hello, andrew")
		b.sessions(1)
		// Times are whole seconds: a use shows in the other window if it is in another second.
		used := a.text("fields")
		a.until(`Date.now() % 1000 < 500 && Date.now() >= ` + nextSecond())
		a.click("#increment")
		a.says("views", "2")
		if a.text("fields") == used {
			t.Error("the fields on show are the old ones")
		}
		b.says("views", "2")
		b.click("#logout")
		b.says("message", "You are logged out")
		a.says("message", "Your session has been ended elsewhere")
	})
}

// nextSecond returns the beginning of the next second, in JavaScript's milliseconds.
func nextSecond() string {
	return time.Now().Truncate(time.Second).Add(time.Second).Format("Date.parse(\"2006-01-02T15:04:05Z07:00\")")
}

// TestRotation replaces tokens under two windows of one browser.
func TestRotation(t *testing.T) {
	onEachBackend(t, []string{"-rotate", "1s"}, func(t *testing.T, d *demo) {
		a := newBrowser(t, d)
		a.login("andrew", 600)
		b := a.newWindow()
		b.says("active-title", "Hello, andrew")
		id := a.text("session-id")
		for range 2 {
			old := a.cookie().Value
			for deadline := time.Now().Add(patience); a.cookie().Value == old; {
				if time.Now().After(deadline) {
					t.Fatal("the token was not replaced")
				}
				a.click("#refresh")
				a.says("message", "Used.")
				b.click("#increment")
				b.says("message", "Counted.")
			}
			if got := a.cookie().Value[:16]; got != id {
				t.Errorf("the cookie names the session %s, want %s", got, id)
			}
		}
		if got := b.text("session-id"); got != id {
			t.Errorf("session %s, want %s", got, id)
		}
	})
}

// TestRememberSurvivesRestart closes the browser and opens it again, with and without "remember me".
func TestRememberSurvivesRestart(t *testing.T) {
	t.Parallel()
	needChromium(t)
	d := startDemo(t)
	for _, tt := range []struct {
		name     string
		remember bool
	}{{"remembered", true}, {"not remembered", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			profile := filepath.Join(t.TempDir(), "profile")
			first, stop, err := startChromium(profile)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { stop() }()
			b := openTab(t, d, first)
			if tt.remember {
				b.do(chromedp.WaitVisible(chromedp.ID("remember")))
				b.click("#remember")
			}
			b.login("andrew", 600)
			if c := b.cookie(); c == nil || c.Session == tt.remember || !c.HTTPOnly {
				t.Errorf("cookie = %+v, want it kept: %v", c, tt.remember)
			}
			stop()
			second, stopSecond, err := startChromium(profile)
			if err != nil {
				t.Fatal(err)
			}
			stop = stopSecond
			b = openTab(t, d, second)
			if tt.remember {
				b.says("active-title", "Hello, andrew")
				b.says("sessions", "remembered")
			} else {
				b.says("start-title", "Start a session")
			}
		})
	}
}
