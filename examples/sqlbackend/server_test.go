//go:build linux

package sqlbackend_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// postgresDSN returns the data source name of a new database, on a PostgreSQL server that is the tests' own and runs
// until they end. Without the programs of a server, it skips the test, or fails it if SESSION_TEST_REQUIRE_SERVERS
// is 1.
func postgresDSN(t *testing.T) string {
	t.Helper()
	err := server.started()
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("SESSION_TEST_REQUIRE_SERVERS") != "1":
		t.Skipf("%v; install a PostgreSQL server to run this test (Debian: apt-get install postgresql)", err)
	case err != nil:
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", server.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := fmt.Sprintf("test%d", server.databases.Add(1))
	mustExec(t, db, "CREATE DATABASE "+name)
	return server.dsn(name)
}

var server postgres

func TestMain(m *testing.M) {
	code := m.Run()
	if err := server.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping postgres:", err)
		code = 1
	}
	os.Exit(code)
}

// postgres is a server with a data directory of its own, started when it is first asked for.
type postgres struct {
	once sync.Once
	err  error

	dir  string
	port int
	cmd  *exec.Cmd
	log  bytes.Buffer

	databases atomic.Int64 // How many have been created.
}

// started starts the server, the first time.
func (p *postgres) started() error {
	p.once.Do(func() { p.err = p.start() })
	return p.err
}

func (p *postgres) dsn(database string) string {
	return fmt.Sprintf("postgres://session@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

func (p *postgres) start() error {
	bin, err := findPostgres()
	if err != nil {
		return err
	}
	asUser, owner, err := serverUser()
	if err != nil {
		return err
	}
	if p.dir, err = os.MkdirTemp("", "sqlbackend"); err != nil {
		return err
	}
	if owner >= 0 {
		if err := os.Chown(p.dir, owner, -1); err != nil {
			return err
		}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "session", "-A", "trust", "-E", "UTF8",
		"--no-locale", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = p.dir, asUser
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}

	// A free port may be taken by somebody else until the server has it.
	for range 3 {
		if err = p.listen(filepath.Join(bin, "postgres"), data, asUser); err == nil {
			return nil
		}
		p.kill()
	}
	return fmt.Errorf("postgres: %w\n%s", err, p.log.Bytes())
}

// listen starts the server on a free port of the loopback interface and waits until it answers.
func (p *postgres) listen(program, data string, asUser *syscall.SysProcAttr) error {
	var err error
	if p.port, err = freePort(); err != nil {
		return err
	}
	p.log.Reset()
	p.cmd = exec.Command(program, "-D", data, "-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200")
	p.cmd.Dir, p.cmd.SysProcAttr = p.dir, asUser
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	return answers(p.dsn("postgres"))
}

// answers waits until a server answers, for up to 30 seconds.
func answers(dsn string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop ends the server, if it runs, and removes its data.
func (p *postgres) stop() error {
	p.kill()
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}

// kill ends the server: SIGINT is PostgreSQL's fast shutdown.
func (p *postgres) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGINT)
	timer := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
	p.cmd.Wait()
	timer.Stop()
	p.cmd = nil
}

// findPostgres returns the directory of the programs postgres and initdb: the one of the PATH, or the newest where
// Debian puts them. Its error is exec.ErrNotFound.
func findPostgres() (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(candidates, func(a, b string) int { return len(b) - len(a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		candidates = slices.Insert(candidates, 0, path)
	}
	for _, path := range candidates {
		path, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		dir := filepath.Dir(path)
		if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no programs postgres and initdb: %w", exec.ErrNotFound)
}

// serverUser returns how to start the server, and the ID of the user that it is to run as: PostgreSQL refuses to run as
// root. If the tests do not run as root either, that is -1. The server ends when the tests die before it.
func serverUser() (*syscall.SysProcAttr, int, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() != 0 {
		return attr, -1, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, 0, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, 0, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, 0, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, int(uid), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
