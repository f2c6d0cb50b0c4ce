package redistest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/internal/redistest"
)

// childEnv names what this test binary does when a test runs it again.
const childEnv = "REDISTEST_CHILD"

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		os.Unsetenv(childEnv)
		code := redistest.Run(children[child])
		if childServer.Running() {
			code = 9
		}
		os.Exit(code)
	}
	os.Exit(redistest.Run(m))
}

// childServer is the server that a child has shared.
var childServer *redistest.Server

// share shares a server in a child, and prints its process id.
func share() *redistest.Server {
	childServer = redistest.Shared(outsideTest{})
	fmt.Println(childServer.PID())
	return childServer
}

// runner is a run of tests that consists of one function.
type runner func() int

func (f runner) Run() int { return f() }

var children = map[string]runner{
	"clean": func() int {
		share().Try("SET", "a", "1", "EX", "100")
		return 0
	},
	"immortal": func() int {
		s := share()
		s.Try("SET", "a", "1", "EX", "100")
		s.Try("SET", "lives-for-ever", "1")
		s.Try("HSET", "so-does-this", "f", "v")
		return 0
	},
	"immortal in cluster": func() int {
		c := redistest.SharedCluster(outsideTest{})
		childServer = c.Nodes()[0]
		fmt.Println(childServer.PID())
		for i := range 20 {
			key := fmt.Sprintf("lives-for-ever-%d", i)
			c.MasterOf(outsideTest{}, key).Try("SET", key, "1")
		}
		return 0
	},
	"failing": func() int {
		share()
		return 3
	},
	"panicking": func() int {
		share()
		go func() { panic("as a test may") }()
		select {}
	},
	"exiting": func() int {
		share()
		os.Exit(5)
		return 0
	},
	"hanging": func() int {
		share()
		select {}
	},
}

// outsideTest is a testing.TB for a child, where there is no test.
type outsideTest struct{ testing.TB }

func (outsideTest) Helper()                      {}
func (outsideTest) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (outsideTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (outsideTest) Skipf(f string, args ...any)  { panic(fmt.Sprintf(f, args...)) }

// command returns the command that runs this test binary as a child.
func command(t *testing.T, child string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+child, "TMPDIR="+t.TempDir())
	return cmd
}

// awaitNoProcess fails the test if the process does not end. A zombie has ended: nobody may be there to wait
// for it.
func awaitNoProcess(t *testing.T, pid string) {
	t.Helper()
	await(t, "end of process "+pid, func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// await fails the test if ok does not become true.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("no %s within 20 seconds", what)
		}
	}
}
