package sqlbackend_test

import (
	"context"
	"errors"
	"testing"

	"github.com/faeeb396/session/backend"
	"github.com/google/go-cmp/cmp"
)

// manyRows adds 2,500 rows that expire at $1.
const manyRows = `INSERT INTO sessions (id, fields, ttl_seconds, expires_at_ms)
	WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
	SELECT 'id-' || CAST($1 AS BIGINT) || '-' || i, $2, 60, $1 FROM n`

func TestDeleteExpired(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		db := d.open(t)
		b := d.newBackend(db, nil)
		mustExec(t, db, manyRows, past, []byte{1})
		mustExec(t, db, manyRows, future, []byte{1})
		if n, err := b.DeleteExpired(t.Context()); n != 2500 || err != nil {
			t.Errorf("DeleteExpired = %d, %v, want 2500", n, err)
		}
		if n, err := b.DeleteExpired(t.Context()); n != 0 || err != nil {
			t.Errorf("DeleteExpired again = %d, %v, want 0", n, err)
		}
		if got := count(t, d); got != 2500 {
			t.Errorf("%d rows are left, want 2500", got)
		}
	})
}

// TestScanPages scans more rows than a page has, over a single connection, and deletes each in the loop.
func TestScanPages(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		db := d.open(t)
		db.SetMaxOpenConns(1)
		b := d.newBackend(db, nil)
		mustExec(t, db, manyRows, past, []byte{1})
		mustExec(t, db, manyRows, future, []byte{1})
		seen := make(map[string]bool)
		for id, err := range b.Scan(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			seen[id] = true
			if err := b.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != 2500 {
			t.Errorf("Scan yielded %d IDs, want 2500", len(seen))
		}
		if got := count(t, d); got != 2500 {
			t.Errorf("%d rows are left, want the 2500 that had expired", got)
		}
	})
}

func TestScanContextEndsInTheLoop(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		db := d.open(t)
		mustExec(t, db, manyRows, future, []byte{1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n, last := 0, error(nil)
		for id, err := range d.newBackend(db, nil).Scan(ctx) {
			if n++; n == 1 {
				cancel()
			}
			if last = err; err != nil && id != "" {
				t.Errorf("Scan yielded the ID %q with an error", id)
			}
		}
		if n != 2 || !errors.Is(last, context.Canceled) {
			t.Errorf("Scan yielded %d times, %v at last, want an ID and %v", n, last, context.Canceled)
		}
	})
}

func TestPing(t *testing.T) {
	readOnly := map[string]string{
		"sqlite": "&_query_only=true", "pgx": "&default_transaction_read_only=on",
	}
	onEach(t, func(t *testing.T, d database) {
		if err := d.newBackend(d.openEmpty(t), nil).Ping(t.Context()); err == nil {
			t.Error("Ping without a table = nil")
		}
		b := d.newBackend(d.open(t), nil)
		if err := b.Create(t.Context(), id, backend.Record{Fields: map[string]string{"a": "b"}, TTL: someTime}); err != nil {
			t.Fatal(err)
		}
		before, err := b.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Ping(t.Context()); err != nil {
			t.Errorf("Ping = %v, want nil", err)
		}
		after, err := b.Load(t.Context(), id)
		if diff := cmp.Diff(before, after); diff != "" || err != nil {
			t.Errorf("Ping changed a record, or Load failed with %v (-want +got):\n%s", err, diff)
		}
		d.dsn += readOnly[d.driver]
		if err := d.newBackend(d.openEmpty(t), nil).Ping(t.Context()); err == nil {
			t.Error("Ping of a database that cannot be written = nil")
		}
	})
}

// TestPingPermissions takes one permission after the other from a user who has all that the backend needs.
func TestPingPermissions(t *testing.T) {
	d := postgresDatabase(t, "")
	db := d.open(t)
	mustExec(t, db, `CREATE ROLE app LOGIN`)
	t.Cleanup(func() { db.Exec(`DROP OWNED BY app; DROP ROLE app`) })
	app := d
	app.dsn += "&user=app"
	b := app.newBackend(app.openEmpty(t), nil)
	mustExec(t, db, `GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO app`)
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("Ping with all permissions = %v, want nil", err)
	}
	for _, permission := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
		mustExec(t, db, `REVOKE `+permission+` ON sessions FROM app`)
		if err := b.Ping(t.Context()); err == nil {
			t.Errorf("Ping without the permission %s = nil", permission)
		}
		mustExec(t, db, `GRANT `+permission+` ON sessions TO app`)
	}
}

// count returns how many rows the table has, the expired ones included.
func count(t *testing.T, d database) (n int) {
	t.Helper()
	if err := d.openEmpty(t).QueryRowContext(t.Context(), `SELECT count(*) FROM sessions`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
