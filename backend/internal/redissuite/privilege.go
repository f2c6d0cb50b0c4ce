package redissuite

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/internal/redistest"
)

// Permissions returns those that a client needs beside the ones that the package comment advises, of a server or a
// cluster of this major version.
type Permissions func(version int, cluster bool) []string

// NoMore are the permissions of a client that needs none.
func NoMore(int, bool) []string { return nil }

// LeastPrivilegeConformance runs the conformance suite as the user of the package comment, who may scan besides.
func LeastPrivilegeConformance(t *testing.T, open Open, client Permissions) {
	rules := append(advisedRules(t, "doc.go"), client(majorVersion(t), false)...)
	server, c := startAs(t, append(rules, "+scan"))
	conform(t, open, c, func(_ string, args ...string) error {
		_, err := server.Try(args...)
		return err
	})
}

// startAs starts a server with a user who may do what rules say.
func startAs(t *testing.T, rules []string) (*redistest.Server, Config) {
	t.Helper()
	user := redistest.User{Name: "app", Password: "password", Rules: strings.Join(rules, " ")}
	server := redistest.Start(t, &redistest.Options{Users: []redistest.User{user}})
	return server, Config{Addrs: []string{server.Addr()}, User: user, Prefix: "session:"}
}

// LeastPrivilege checks that the user of the package comment and the README may do enough, and no more than is
// needed.
func LeastPrivilege(t *testing.T, open Open, client Permissions) {
	version := majorVersion(t)
	advised := advisedRules(t, "doc.go")
	if readme := advisedRules(t, "../../README.md"); !slices.Equal(advised, readme) {
		t.Errorf("the package comment advises %q, the README %q", advised, readme)
	}
	rules := append(slices.Clone(advised), client(version, false)...)
	t.Run("WaitReplicas", func(t *testing.T) {
		server, c := startAs(t, append(rules, "+wait"))
		redistest.StartReplica(t, server, nil)
		c.WaitReplicas, c.WaitTimeout = 1, waitTimeout
		useAll(t, open(t, c))
		wantPing(t, open(t, c), "")

		c.User.Name = "no-wait"
		server.Do(t, append([]string{"ACL", "SETUSER", c.User.Name, "on", ">" + c.User.Password}, rules...)...)
		wantPing(t, open(t, c), "WAIT")
	})
	t.Run("cluster", func(t *testing.T) {
		cluster := redistest.SharedCluster(t)
		user := redistest.User{Name: "app", Password: "password"}
		allowed := slices.Concat(advised, client(version, true), []string{"+cluster|slots", "+cluster|myid", "+scan"})
		for _, node := range cluster.Nodes() {
			node.Do(t, append([]string{"ACL", "SETUSER", user.Name, "reset", "on", ">" + user.Password}, allowed...)...)
		}
		c := Config{Addrs: cluster.Addrs(), Cluster: true, User: user, Prefix: cluster.Prefix(t)}
		useAll(t, open(t, c))
		scanAll(t, open, cluster, c)
		for _, node := range cluster.Nodes() {
			node.Do(t, "ACL", "DELUSER", user.Name)
		}
	})
	t.Run("nothing is left out", func(t *testing.T) {
		for i, rule := range advised {
			if !strings.HasPrefix(rule, "+") {
				continue
			}
			_, c := startAs(t, slices.Delete(slices.Clone(rules), i, i+1))
			pinger, _ := backend.As[backend.Pinger](open(t, c))
			err := pinger.Ping(t.Context())
			if name := strings.ToUpper(rule[1:]); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("Ping without %s = %v, want an error that names it", rule, err)
			}
		}
	})
}

// majorVersion returns the version of the server that tests start, which is Redis or Valkey.
func majorVersion(t *testing.T) int {
	t.Helper()
	version := redistest.Start(t, nil).Do(t, "HELLO").Map()["version"]
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		t.Fatalf("HELLO names version %q", version)
	}
	return n
}

// advisedRules returns the rules of the user that a file advises.
func advisedRules(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`ACL SETUSER app on >password ((?:[~+]\S+(?:\s|//)*)+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s advises no user", file)
	}
	return strings.Fields(strings.ReplaceAll(string(m[1]), "//", ""))
}

// TLS checks that a backend works over TLS.
func TLS(t *testing.T, open Open) {
	server := redistest.Start(t, &redistest.Options{TLS: true})
	b := open(t, Config{Addrs: []string{server.TLSAddr()}, TLS: server.TLSConfig()})
	if err := b.Create(t.Context(), "a", newRecord("1")); err != nil {
		t.Fatal(err)
	}
	rec, err := b.Apply(t.Context(), "a", backend.Patch{Add: map[string]int64{"n": 1}, TTL: time.Minute, Load: true})
	if err != nil || rec.Fields["n"] != "2" {
		t.Errorf("Apply = %v, %v", rec, err)
	}
	if pinger, _ := backend.As[backend.Pinger](b); pinger.Ping(t.Context()) != nil {
		t.Error("Ping failed")
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

// wantPing expects Ping to succeed, or to fail with an error that names the command.
func wantPing(t *testing.T, b backend.Backend, command string) {
	t.Helper()
	err := b.(backend.Pinger).Ping(t.Context())
	if (err == nil) != (command == "") || err != nil && !strings.Contains(err.Error(), command) {
		t.Errorf("Ping = %v, want an error that names %q, if any", err, command)
	}
}
