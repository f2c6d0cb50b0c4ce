//go:build !linux

package sqlbackend_test

import (
	"os"
	"testing"
)

func postgresDSN(t *testing.T) string {
	t.Helper()
	if os.Getenv("SESSION_TEST_REQUIRE_SERVERS") == "1" {
		t.Fatal("the tests can start a PostgreSQL server on Linux only")
	}
	t.Skip("the tests can start a PostgreSQL server on Linux only")
	return ""
}
