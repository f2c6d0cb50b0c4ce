package redistest_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/faeeb396/session/internal/redistest"
)

func TestServerUser(t *testing.T) {
	app := redistest.User{Name: "app", Password: "a:b/c@%#", Rules: "~session:* +get +set"}
	idle := redistest.User{Name: "idle", Password: "x"}
	s := redistest.Start(t, &redistest.Options{Users: []redistest.User{app, idle}})
	s.Do(t, "SET", "session:k", "v")

	for _, tt := range []struct {
		name string
		user redistest.User
		args []any
		want string // the beginning of the error
	}{
		{name: "permitted", user: app, args: []any{"GET", "session:k"}},
		{name: "other key", user: app, args: []any{"GET", "other"}, want: "NOPERM"},
		{name: "other command", user: app, args: []any{"DEL", "session:k"}, want: "NOPERM"},
		{name: "no rules", user: idle, args: []any{"GET", "session:k"}, want: "NOPERM"},
		{name: "wrong password", user: redistest.User{Name: "app", Password: "y"}, args: []any{"PING"}, want: "WRONGPASS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := redis.ParseURL(s.UserURL(tt.user))
			if err != nil {
				t.Fatal(err)
			}
			rdb := redis.NewClient(opts)
			defer rdb.Close()
			err = rdb.Do(t.Context(), tt.args...).Err()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("%v: err = %v, want %s", tt.args, err, tt.want)
			}
		})
	}
}

func TestServerTLS(t *testing.T) {
	s := redistest.Start(t, &redistest.Options{TLS: true})
	s.Do(t, "SET", "k", "v")
	opts, err := redis.ParseURL(s.TLSURL())
	if err != nil {
		t.Fatal(err)
	}

	opts.TLSConfig = s.TLSConfig()
	trusting := redis.NewClient(opts)
	defer trusting.Close()
	if got, err := trusting.Get(t.Context(), "k").Result(); got != "v" {
		t.Errorf("GET = %q, %v, want v", got, err)
	}
	s.Restart(t)
	if err := trusting.Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING after Restart: %v", err)
	}
}

func TestServerTLSCertificate(t *testing.T) {
	s := redistest.Start(t, &redistest.Options{TLS: true})
	ca, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	for _, tt := range []struct {
		name string
		pool *x509.CertPool
		ok   bool
	}{
		{name: "127.0.0.1", pool: pool, ok: true},
		{name: "localhost", pool: pool, ok: true},
		{name: "example.com", pool: pool},
		{name: "127.0.0.1", pool: nil}, // a client that trusts the system's authorities only
	} {
		c, err := tls.Dial("tcp", s.TLSAddr(), &tls.Config{RootCAs: tt.pool, ServerName: tt.name})
		if (err == nil) != tt.ok {
			t.Errorf("Dial as %s, authority given %v: err = %v, want success %v", tt.name, tt.pool != nil, err, tt.ok)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestServerWithoutTLSPanics(t *testing.T) {
	s := redistest.Shared(t)
	defer func() {
		if recover() == nil {
			t.Error("TLSConfig does not panic")
		}
	}()
	s.TLSConfig()
}

func TestTLSIsForSingleServers(t *testing.T) {
	redistest.Shared(t) // skips the test where there is no server
	for _, tt := range []struct {
		name  string
		start func(testing.TB, redistest.Options)
	}{
		{name: "cluster", start: func(tb testing.TB, o redistest.Options) {
			redistest.StartCluster(tb, &redistest.ClusterOptions{Node: o})
		}},
		{name: "sentinel", start: func(tb testing.TB, o redistest.Options) {
			redistest.StartSentinel(tb, &redistest.SentinelOptions{Node: o})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, fatal := outcome(t, func(tb testing.TB) { tt.start(tb, redistest.Options{TLS: true}) })
			if !strings.Contains(fatal, "TLS") {
				t.Errorf("the start failed with %q, want a word on TLS", fatal)
			}
		})
	}
}
