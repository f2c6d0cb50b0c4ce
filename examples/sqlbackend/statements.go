package sqlbackend

import "strings"

// SQLiteSchema creates the table for [NewSQLite], if it is not there. The statements belong with an application's
// migrations, or run once when it starts.
const SQLiteSchema = `
CREATE TABLE IF NOT EXISTS sessions (
	id            TEXT    NOT NULL PRIMARY KEY,
	fields        BLOB    NOT NULL,
	ttl_seconds   INTEGER NOT NULL CHECK (ttl_seconds BETWEEN 1 AND 9223372036),
	expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_expires_at_ms ON sessions (expires_at_ms);`

// PostgreSQLSchema creates the table for [NewPostgreSQL], if it is not there. The statements belong with an
// application's migrations: they wait for whoever is writing. IDs are compared byte by byte, in whatever locale.
const PostgreSQLSchema = `
CREATE TABLE IF NOT EXISTS sessions (
	id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	fields        BYTEA  NOT NULL,
	ttl_seconds   BIGINT NOT NULL CHECK (ttl_seconds BETWEEN 1 AND 9223372036),
	expires_at_ms BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_expires_at_ms ON sessions (expires_at_ms);`

// pageSize is how many rows Scan reads and DeleteExpired deletes at once.
const pageSize = 1000

// dialect is what the two databases say in different words.
type dialect struct {
	now  string // The time now, not that of the transaction's begin, in milliseconds since 1970.
	lock string // Makes a SELECT lock its row until the transaction ends.
}

var (
	sqlite     = dialect{now: `CAST(round(unixepoch('subsec') * 1000) AS INTEGER)`} // BEGIN IMMEDIATE locks all.
	postgreSQL = dialect{
		now:  `floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint`,
		lock: `FOR UPDATE`,
	}
)

// statements are the SQL texts of the methods. Parameters are $1 for the ID, and so on; see where they are used.
type statements struct {
	create, load, lock, update, remove, expire, purge, scan string

	ping []string
}

func (d dialect) statements() statements {
	sql := strings.NewReplacer("{now}", d.now, "{lock}", d.lock).Replace
	return statements{
		create: sql(`
			INSERT INTO sessions (id, fields, ttl_seconds, expires_at_ms)
			VALUES ($1, $2, $3, {now} + 1000 * CAST($3 AS BIGINT))
			ON CONFLICT (id) DO UPDATE SET
				fields = excluded.fields,
				ttl_seconds = excluded.ttl_seconds,
				expires_at_ms = {now} + 1000 * excluded.ttl_seconds
			WHERE sessions.expires_at_ms <= {now}`),

		load: sql(`SELECT expires_at_ms > {now}, ttl_seconds, fields FROM sessions WHERE id = $1`),
		lock: sql(`SELECT expires_at_ms > {now}, ttl_seconds, fields FROM sessions WHERE id = $1 {lock}`),

		// Judges again: the row may have expired while the SELECT waited for its lock. No fields leave them as they
		// are.
		update: sql(`
			UPDATE sessions SET
				fields = COALESCE($2, fields),
				ttl_seconds = $3,
				expires_at_ms = CASE WHEN $4 THEN {now} + 1000 * CAST($3 AS BIGINT) ELSE expires_at_ms END
			WHERE id = $1 AND expires_at_ms > {now}`),

		remove: `DELETE FROM sessions WHERE id = $1`,
		expire: sql(`DELETE FROM sessions WHERE id = $1 AND expires_at_ms <= {now}`),

		// The inner {now} is a subquery so that PostgreSQL takes it once, and uses the index.
		purge: sql(`
			DELETE FROM sessions
			WHERE id IN (SELECT id FROM sessions WHERE expires_at_ms <= (SELECT {now}) LIMIT $1)
			AND expires_at_ms <= {now}`),

		scan: sql(`SELECT id FROM sessions WHERE id > $1 AND expires_at_ms > {now} ORDER BY id LIMIT $2`),

		// Statements that concern no row: permissions are checked all the same. No ID is empty.
		ping: []string{
			`INSERT INTO sessions (id, fields, ttl_seconds, expires_at_ms)
			SELECT id, fields, ttl_seconds, expires_at_ms FROM sessions WHERE id = ''`,
			`UPDATE sessions SET fields = fields, ttl_seconds = ttl_seconds, expires_at_ms = expires_at_ms WHERE id = ''`,
			`DELETE FROM sessions WHERE id = ''`,
		},
	}
}
