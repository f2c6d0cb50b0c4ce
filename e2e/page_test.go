package e2e

import (
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestVisit goes through the whole page: log in, count, change the TTL, and let the session end.
func TestVisit(t *testing.T) {
	onEachBackend(t, nil, func(t *testing.T, d *demo) {
		b := newBrowser(t, d)
		b.login(" andrew ", 600)
		b.says("active-title", "Hello, andrew")
		b.says("views", "1")
		b.until("document.activeElement.id === 'active-title'")
		b.sessions(1)
		b.says("sessions", "Chrome on Linux this one")
		key := "session:" + b.text("session-id")

		b.click("#increment")
		b.says("message", "That makes 2 page views")
		b.says("views", "2")
		b.says("fields", "page_views")
		if d.redis != nil {
			if n := d.redis.Do(t, "HGET", key, "page_views").String(); n != "2" {
				t.Errorf("page_views in Redis = %s, want 2", n)
			}
			d.redis.Do(t, "HINCRBY", key, "page_views", "10")
			b.click("#increment")
			b.says("views", "13")
		}

		b.fill("new-ttl", "0")
		b.fine = regexp.MustCompile(`status of 400`)
		b.click("#change-ttl button")
		b.says("new-ttl-error", "greater than 0")
		b.until("document.activeElement.id === 'new-ttl'")

		b.fill("new-ttl", "2")
		b.click("#change-ttl button")
		b.says("message", "now lives 2 seconds")
		b.says("message", "Your session has expired")
		b.says("start-title", "Start a session")
		if d.redis != nil && d.redis.Do(t, "EXISTS", key).Int() != 0 {
			t.Errorf("%s is still there", key)
		}
		// A look that finds the session gone leaves the cookie, which may be a new login's by then. Opening the page does not.
		b.do(chromedp.Reload())
		b.says("start-title", "Start a session")
		if c := b.cookie(); c != nil {
			t.Errorf("the cookie %s is still there", c.Name)
		}
	})
}

// TestCookieIsOutOfReach checks the cookie as the browser keeps it, and that no script sees it.
func TestCookieIsOutOfReach(t *testing.T) {
	t.Parallel()
	needChromium(t)
	d := startDemo(t)
	b := newBrowser(t, d)
	b.login("andrew", 600)
	c := b.cookie()
	if c == nil || c.Name != "sid" || !c.HTTPOnly || !c.Session || c.SameSite != network.CookieSameSiteLax || c.Path != "/" {
		t.Errorf("cookie = %+v, want sid, HttpOnly, Lax, / and until the browser closes", c)
	}
	if seen := eval[string](b, "document.cookie"); seen != "" {
		t.Errorf("document.cookie = %q, want nothing", seen)
	}
	if c != nil && regexp.MustCompile(regexp.QuoteMeta(c.Value[16:])).MatchString(eval[string](b, "document.documentElement.outerHTML")) {
		t.Error("the page shows the token")
	}
	b.click("#logout")
	b.says("message", "You are logged out")
	if c := b.cookie(); c != nil {
		t.Errorf("the cookie %s is still there after the logout", c.Name)
	}
}

// TestKeyboard does without a mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	needChromium(t)
	b := newBrowser(t, startDemo(t))
	b.fill("username", "andrew\r")
	b.says("message", "Session started")
	b.until("document.activeElement.id === 'active-title'")
	b.do(chromedp.KeyEvent("\t"))
	b.until("document.activeElement.id === 'increment'")
	b.do(chromedp.KeyEvent("\r"))
	b.says("views", "2")
	b.until("document.activeElement.id === 'increment'")
	for b.do(chromedp.KeyEvent("\t")); eval[string](b, "document.activeElement.id") != "logout"; b.do(chromedp.KeyEvent("\t")) {
		if eval[bool](b, "document.activeElement === document.body") {
			t.Fatal("the Tab key does not reach the logout")
		}
	}
	b.do(chromedp.KeyEvent(" "))
	b.says("message", "You are logged out")
	b.until("document.activeElement.id === 'start-title'")
}

// TestMarkupIsText gives the page markup wherever text from outside comes in.
func TestMarkupIsText(t *testing.T) {
	const markup = "<img src=x onerror=alert(1)>"
	onEachBackend(t, nil, func(t *testing.T, d *demo) {
		b := newBrowser(t, d)
		b.login(markup, 600)
		b.says("who", markup)
		b.says("fields", markup)
		if d.redis != nil {
			d.redis.Do(t, "HSET", "session:"+b.text("session-id"), markup, markup, "session_label", markup)
			b.click("#refresh")
			b.until(`[...document.querySelectorAll("#fields th")].some((e) => e.textContent === "` + markup + `")`)
			b.says("sessions", markup)
		}
		if n := eval[int](b, "document.images.length"); n != 0 {
			t.Errorf("%d images in the page, want none", n)
		}
	})
}

// TestServerGone stops the demo under the page.
func TestServerGone(t *testing.T) {
	t.Parallel()
	needChromium(t)
	d := startDemo(t)
	b := newBrowser(t, d)
	b.login("andrew", 600)
	b.fine = regexp.MustCompile(`net::ERR_`)
	d.stop()
	b.says("message", "The server does not answer")
	b.click("#increment")
	b.until(`document.body.getAttribute("aria-busy") === null`)
	b.says("message", "The server does not answer")
	b.says("views", "1")
}

// TestRedisGone stops Redis under the demo, and starts it again: the page says so, and the session is still there.
func TestRedisGone(t *testing.T) {
	onEachBackend(t, nil, func(t *testing.T, d *demo) {
		if d.redis == nil {
			t.Skip("memory is always there")
		}
		b := newBrowser(t, d)
		b.login("andrew", 600)
		id := b.text("session-id")
		b.fine = regexp.MustCompile(`status of 503`)
		d.redis.Stop()
		b.says("message", "The session store")
		d.redis.Restart(t)
		b.says("message", "The server answers again")
		b.click("#increment")
		b.says("message", "That makes 2 page views")
		if got := b.text("session-id"); got != id {
			t.Errorf("session %s, want %s", got, id)
		}
	})
}
