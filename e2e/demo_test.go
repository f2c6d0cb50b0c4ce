package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/faeeb396/session/internal/redistest"
)

// demo is a running demo.
type demo struct {
	url   string
	stop  func() // ends it; a second call does nothing
	redis *redistest.Server
}

// startDemo starts the demo on a free port, with these flags.
func startDemo(t *testing.T, flags ...string) *demo {
	t.Helper()
	program, err := buildDemo()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-port", "0"}, flags...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	address := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; lines.Scan(); n++ {
			if n == 0 {
				address <- regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text())
			}
		}
		_ = cmd.Wait()
	}()
	d := &demo{stop: func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}}
	t.Cleanup(d.stop)
	select {
	case d.url = <-address:
	case <-ended:
	}
	if d.url == "" {
		t.Fatalf("sessiondemo %q did not say where it listens", flags)
	}
	return d
}

// onEachBackend runs a test against a demo on memory, and on Redis through each client.
func onEachBackend(t *testing.T, flags []string, test func(t *testing.T, d *demo)) {
	t.Parallel()
	needChromium(t)
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, startDemo(t, flags...))
	})
	for _, client := range []string{"goredis", "rueidis"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, &redistest.Options{Persist: true})
			d := startDemo(t, append([]string{"-backend", client, "-redis-url", server.URL()}, flags...)...)
			d.redis = server
			test(t, d)
		})
	}
}
