package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/faeeb396/session/internal/redistest"
)

// require makes a missing program a failure. See [redistest].
var require = os.Getenv("SESSION_TEST_REQUIRE_SERVERS") == "1"

// dir is where the tests of this binary keep the demo and the browser's profile.
var dir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// Most of the time the tests wait, for the page to look again or for a session to end. -parallel overrides it.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if dir, err = os.MkdirTemp("", "session-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	defer func() { stopShared() }()
	return redistest.Run(m)
}

// buildDemo builds the demo, once, and returns the program's name.
var buildDemo = sync.OnceValues(func() (string, error) {
	program := filepath.Join(dir, "sessiondemo")
	out, err := exec.Command("go", "build", "-o", program, "github.com/faeeb396/session/cmd/sessiondemo").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// stopShared ends the shared Chromium, if there is one.
var stopShared = func() {}

// sharedChromium starts the Chromium that the tests share, each with browser contexts of its own: they have their
// own cookies, as different browsers do.
var sharedChromium = sync.OnceValues(func() (context.Context, error) {
	ctx, stop, err := startChromium(filepath.Join(dir, "profile"))
	if err == nil {
		stopShared = stop
	}
	return ctx, err
})

// startChromium starts a Chromium that keeps its profile in a folder.
func startChromium(profile string) (context.Context, func(), error) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(profile),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, _ = chromedp.NewContext(ctx)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("starting chromium: %w", err)
	}
	stop := func() {
		defer cancel()
		patient, done := context.WithTimeout(ctx, 10*time.Second)
		defer done()
		_ = chromedp.Cancel(patient)
	}
	return ctx, stop, nil
}

// needChromium skips or fails the test if there is no Chromium.
func needChromium(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err == nil {
		return
	}
	const message = "chromium is not on PATH: install it to run the browser tests (Debian: apt-get install chromium)"
	if require {
		t.Fatal(message)
	}
	t.Skip(message)
}
