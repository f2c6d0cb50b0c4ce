package rueidis_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/faeeb396/session/backend/internal/redissuite"
	"github.com/faeeb396/session/internal/redistest"
)

// fipsAddr names the server of the child process of TestFIPS140Only.
const fipsAddr = "SESSION_TEST_FIPS_ADDR"

// In such a program a SHA-1 panics, be it in init.
func TestFIPS140Only(t *testing.T) {
	server := redistest.Start(t, nil)
	cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS140OnlyChild$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", fipsAddr+"="+server.Addr())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("child: %v\n%s", err, out)
	}
	if calls := server.Calls(t); calls["EVAL"] == 0 {
		t.Errorf("the child has called %v", calls)
	}
}

func TestFIPS140OnlyChild(t *testing.T) {
	addr := os.Getenv(fipsAddr)
	if addr == "" {
		t.Skip("run by TestFIPS140Only")
	}
	if !fips140.Enabled() {
		t.Error("FIPS 140 mode is off")
	}
	s := newStore(t, connect(t, addr), addr, "session:")
	s.MustCreate(t, "x", map[string]string{"n": "1"})
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for _, c := range redissuite.Methods {
		if err := c.Call(t.Context(), s); err != nil {
			t.Errorf("%s = %v", c.Name, err)
		}
	}
}
