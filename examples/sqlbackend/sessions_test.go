package sqlbackend_test

import (
	"testing"

	"github.com/faeeb396/session/conformance"
)

func TestSessionsSQLite(t *testing.T) {
	conformance.RunSessions(t, func(t *testing.T) conformance.Target {
		return target(t, sqliteDatabase(t, sqliteOptions))
	})
}

func TestSessionsPostgreSQL(t *testing.T) {
	d := postgresDatabase(t, "")
	conformance.RunSessions(t, func(t *testing.T) conformance.Target { return target(t, d) })
}
