package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long the page has to show what it is to show.
const patience = 20 * time.Second

// tab is a window of a browser with the demo's page.
type tab struct {
	t    *testing.T
	d    *demo
	ctx  context.Context
	fine *regexp.Regexp // what the console may hold, nil for nothing

	mu      sync.Mutex
	console []string
	visited []string // URLs of requests
}

// newBrowser returns a window of a browser that nobody has used, at the demo's page.
func newBrowser(t *testing.T, d *demo) *tab {
	t.Helper()
	chromium, err := sharedChromium()
	if err != nil {
		t.Fatal(err)
	}
	return openTab(t, d, chromium, chromedp.WithNewBrowserContext())
}

// newWindow returns another window of the same browser: with its cookies.
func (b *tab) newWindow() *tab {
	b.t.Helper()
	return openTab(b.t, b.d, b.ctx)
}

// openTab opens the demo's page in a child of parent, a context of chromedp. When the test ends, the page must
// have written nothing to the console and asked nobody but the demo.
func openTab(t *testing.T, d *demo, parent context.Context, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, d: d}
	opts = append(opts, chromedp.WithNewWindow(true), chromedp.WithListener(b.listen))
	ctx, cancel := chromedp.NewContext(parent, opts...)
	b.ctx = ctx
	t.Cleanup(func() {
		b.check()
		cancel()
	})
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(d.url))
	return b
}

// listen is called with the page's events, one by one.
func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.visited = append(b.visited, ev.Request.URL)
	case *runtime.EventConsoleAPICalled:
		text := string(ev.Type)
		for _, arg := range ev.Args {
			text += " " + string(arg.Value) + arg.Description
		}
		b.console = append(b.console, text)
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, "exception: "+ev.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.console = append(b.console, fmt.Sprintf("%s: %s (%s)", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
	case *page.EventJavascriptDialogOpening:
		b.console = append(b.console, "dialog: "+ev.Message)
	}
}

func (b *tab) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.console {
		if b.fine == nil || !b.fine.MatchString(text) {
			b.t.Errorf("the console says: %s", text)
		}
	}
	for _, url := range b.visited {
		if !strings.HasPrefix(url, b.d.url+"/") && !strings.HasPrefix(url, "data:image/svg+xml,") {
			b.t.Errorf("the page asked for %s", url)
		}
	}
	if len(b.visited) == 0 {
		b.t.Error("no request was seen")
	}
}

// do runs actions, within patience.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx); err != nil { // opens the window, which would close with the time limit
		b.t.Fatalf("opening a window: %v", err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v; the page says:\n%s", err, b.page())
	}
}

// eval returns the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// page returns what the page shows, for messages.
func (b *tab) page() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits until an expression in the page is true.
func (b *tab) until(condition string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !eval[bool](b, "Boolean("+condition+")"); {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s did not become true within %v; the page says:\n%s", condition, patience, b.page())
		}
		time.Sleep(20 * time.Millisecond) // between two polls
	}
}

// says waits until the element with an ID is shown and holds a text.
func (b *tab) says(id, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`(e => e.checkVisibility() && e.textContent.includes(%s))(document.getElementById(%q))`, strconv.Quote(text), id))
}

// text returns what the element with an ID holds.
func (b *tab) text(id string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.getElementById(%q).textContent", id))
}

// click clicks what a CSS selector names, with the mouse.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fill replaces what stands in the input with an ID, key by key.
func (b *tab) fill(id, text string) {
	b.t.Helper()
	b.do(
		chromedp.WaitVisible(chromedp.ID(id)),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.getElementById(%q).select()", id)),
		chromedp.SendKeys(chromedp.ID(id), text),
	)
}

// login starts a session in the page.
func (b *tab) login(name string, ttl int) {
	b.t.Helper()
	b.fill("username", name)
	b.fill("ttl", strconv.Itoa(ttl))
	b.click("#login button")
	b.says("message", "Session started")
}

// sessions waits until the list has so many lines.
func (b *tab) sessions(n int) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelectorAll('#sessions li').length === %d", n))
}

// cookie returns the browser's session cookie, nil if it has none.
func (b *tab) cookie() *network.Cookie {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{b.d.url}})
	if err != nil {
		b.t.Fatalf("reading the cookies: %v", err)
	}
	switch len(result.Cookies) {
	case 0:
		return nil
	case 1:
		return result.Cookies[0]
	}
	b.t.Fatalf("%d cookies, want one at most", len(result.Cookies))
	return nil
}
