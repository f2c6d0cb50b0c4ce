package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// screenshots returns the folder for screenshots.
func screenshots(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("SESSION_TEST_SCREENSHOTS")
	if folder == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestLooks takes screenshots of each part of the page, and checks what a program can: that nothing is wider than
// the window, that texts stand out from what is behind them, and that whatever can be used is large enough.
func TestLooks(t *testing.T) {
	t.Parallel()
	needChromium(t)
	folder := screenshots(t)
	d := startDemo(t)
	for _, width := range []int64{360, 1440} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("%d-%s", width, scheme)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBrowser(t, d)
				media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
					{Name: "prefers-color-scheme", Value: scheme},
					{Name: "prefers-reduced-motion", Value: "reduce"}, // no colours half way to others
				}}
				if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
					t.Fatal(err)
				}
				b.do(chromedp.EmulateViewport(width, 800))
				shoot := func(part string) {
					t.Helper()
					b.looksRight(part)
					image, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(folder, name+"-"+part+".png"), image, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				b.says("start-title", "Start a session")
				shoot("start")

				user := "andrew-" + name
				b.login(user, 90)
				other := newBrowser(t, d)
				other.do(chromedp.WaitVisible(chromedp.ID("remember")))
				other.click("#remember")
				other.login(user, 3600)
				b.sessions(2)
				shoot("active")

				other.click("#sessions li button")
				b.says("message", "Your session has been ended elsewhere")
				shoot("ended")

				b.login(name+strings.Repeat("W", 64-len(name)), 31536000)
				b.sessions(1)
				shoot("long")
			})
		}
	}
}

// looksRight checks what can be checked by script.
func (b *tab) looksRight(part string) {
	b.t.Helper()
	for _, rule := range []struct{ name, script string }{
		{"nothing is wider than the window", `document.documentElement.scrollWidth > innerWidth ? ["the page"] :
			shown.filter((e) => e.getBoundingClientRect().right > innerWidth + .5).map(describe)`},
		{"controls are at least 24 pixels high and wide, or have a label that is", `shown
			.filter((e) => e.matches("button, input:not([type=checkbox])"))
			.filter((e) => e.offsetWidth < 24 || e.offsetHeight < 24).map(describe)`},
		{"controls have a name", `shown.filter((e) => e.matches("button, input"))
			.filter((e) => !(e.getAttribute("aria-label") || e.textContent || e.labels?.[0]?.textContent)).map(describe)`},
		{"text stands out, WCAG AA", contrastScript},
	} {
		script := `(() => {
			const shown = [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility() && !e.matches(".unseen"));
			const describe = (e) => e.tagName + "#" + e.id + "." + e.getAttribute("class") + " " + e.textContent.slice(0, 40);
			return ` + rule.script + `; })()`
		for _, wrong := range eval[[]string](b, script) {
			b.t.Errorf("%s: %s: not so: %s", part, rule.name, wrong)
		}
	}
}

// contrastScript names the elements whose text has too little contrast: 4.5 to 1, or 3 to 1 if it is large.
const contrastScript = `(() => {
	const rgb = (color) => color.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => {
		const f = (c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
		return .2126 * f(r) + .7152 * f(g) + .0722 * f(b);
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const color = rgb(getComputedStyle(e).backgroundColor);
			if (color[3] === undefined || color[3] > 0) return color;
		}
		return [255, 255, 255];
	};
	return shown.filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
		const style = getComputedStyle(e), size = parseFloat(style.fontSize);
		const [a, b] = [light(rgb(style.color)), light(behind(e))].sort((x, y) => y - x);
		return (a + .05) / (b + .05) < (size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5);
	}).map((e) => describe(e) + " " + getComputedStyle(e).color + " on " + behind(e));
})()`
