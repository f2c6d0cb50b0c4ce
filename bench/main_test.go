package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startTestServer starts a server that ends with the test. Where there is no redis-server, the test is skipped, or
// fails if servers are required.
func startTestServer(t *testing.T) *server {
	t.Helper()
	srv, err := startServer(t.Context(), "")
	if errors.Is(err, errNoServer) && os.Getenv("SESSION_TEST_REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.stop)
	return srv
}

func everybody(t *testing.T, srv *server) []*contender {
	t.Helper()
	onRedis, err := contendersOnRedis(srv.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(onRedis) })
	inMemory, err := contendersInMemory()
	if err != nil {
		t.Fatal(err)
	}
	return append(onRedis, inMemory...)
}

// Every route of every contender does what its name says.
func TestRoutesAnswer(t *testing.T) {
	srv := startTestServer(t)
	for _, c := range everybody(t, srv) {
		t.Run(c.name, func(t *testing.T) { checkRoutes(t, c) })
	}
}

func checkRoutes(t *testing.T, c *contender) {
	cookie, err := newSession(c)
	if err != nil {
		t.Fatal(err)
	}
	send := func(r route, value string) response {
		t.Helper()
		resp := c.agent().do(r, cookie, "username", value)
		if err := expectOK(c, r, resp); err != nil {
			t.Fatal(err)
		}
		return resp
	}
	answers := func(r route, want string) {
		t.Helper()
		if got := string(send(r, "").body); got != want {
			t.Errorf("%s = %q, want %q", r, got, want)
		}
	}
	if c.has(routeCount) {
		if got := string(send(routeCount, "").body); got != "4" && c.kind != floor {
			t.Errorf("count = %q, want 4", got)
		}
		answers(routeCount, "5")
	}
	if c.has(routeRead) {
		answers(routeRead, "andrew")
		send(routeChange, "barbara")
		answers(routeRead, "barbara")
	}
	if !c.has(routeLogin) {
		return
	}
	send(routeIgnore, "")
	if resp := send(routeLogin, "carol"); resp.cookie != "" {
		cookie = resp.cookie
	}
	answers(routeShow, "carol")
	send(routeLogout, "")
	resp := c.agent().do(routeShow, cookie, "username", "")
	if strings.Contains(string(resp.body), "carol") {
		t.Error("the session is there after the logout")
	}
}

// What our requests send to Redis, counted on the server.
func TestCommandsPerRequest(t *testing.T) {
	srv := startTestServer(t)
	for _, c := range everybody(t, srv) {
		if c.kind != ours || !c.has(routeRead) || c.name == nameMemory {
			continue
		}
		if c.name == nameRuCache {
			continue // for a while after the seeding it reads past its cache
		}
		e, err := newEntrant(c, observedRequests)
		if err != nil {
			t.Fatal(err)
		}
		read, change := "hgetall", []string{"hgetall", "evalsha"}
		if c.name == nameGoTouch || c.name == nameRuTouch {
			read, change = "evalsha", []string{"evalsha", "evalsha"}
		}
		for _, tt := range []struct {
			route route
			want  []string
		}{{routeRead, []string{read}}, {routeChange, change}, {routeCount, change}, {routeLogout, []string{read, "del"}}, {routeIgnore, nil}} {
			got, err := e.observed(t.Context(), srv, tt.route)
			if err != nil {
				t.Fatal(err)
			}
			got = slices.DeleteFunc(got, func(name string) bool { return name == "eval" }) // the first of each script
			if all := slices.Repeat(tt.want, observedRequests); !slices.Equal(got, all) {
				t.Errorf("%s: %s sent %v, want %d times %v", c.name, tt.route, got, observedRequests, tt.want)
			}
		}
	}
}

// Ours lose nothing, and what others lose is found.
func TestPromises(t *testing.T) {
	srv := startTestServer(t)
	for _, c := range everybody(t, srv) {
		if c.gate == nil {
			continue
		}
		p, err := keepPromises(c, 100)
		if err != nil {
			t.Fatal(err)
		}
		if c.kind == ours && (p.WritesLost != 0 || p.CountsLost != 0 || p.LogoutUndone) {
			t.Errorf("%s: %+v, want nothing lost", c.name, p)
		}
		if c.kind == peer && (p.WritesLost != parallelWrites-1 || !p.LogoutUndone) {
			t.Errorf("%s: %+v, want all writes but one lost, and the logout undone", c.name, p)
		}
	}
}

// A round in which the time was over before it began has numbers all the same.
func TestRoundWithoutTime(t *testing.T) {
	all, err := contendersInMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(all) })
	var entrants []*entrant
	for _, c := range all {
		e, err := newEntrant(c, 2)
		if err != nil {
			t.Fatal(err)
		}
		entrants = append(entrants, e)
	}
	m := &meter{d: 0}
	results, err := m.block(t.Context(), entrants, routeRead, 32, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(results); err != nil {
		t.Error(err)
	}
	for _, r := range results {
		if r.Rate <= 0 || r.P50 <= 0 {
			t.Errorf("%s: %+v, want requests", r.Contender, r)
		}
	}
}

// Before a round of reads, the local cache has read every session. After the seeding it goes past what it has cached, so
// that these reads can be counted.
func TestRoundFillsLocalCache(t *testing.T) {
	srv := startTestServer(t)
	all := everybody(t, srv)
	c := all[slices.IndexFunc(all, func(c *contender) bool { return c.name == nameRuCache })]
	const sessions, parallel = 100, 2
	e, err := newEntrant(c, sessions)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		route route
		reads int
	}{{routeIgnore, 0}, {routeRead, sessions + parallel}} {
		names, err := srv.monitored(t.Context(), func() error {
			_, err := (&meter{d: 0}).round(t.Context(), e, tt.route, parallel)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name != "hgetall" })
		if len(names) < tt.reads || tt.reads == 0 && len(names) > 0 {
			t.Errorf("%s: %d reads, want %d", tt.route, len(names), tt.reads)
		}
	}
}

// The whole program, as quickly as it goes: the JSON and the charts can be read again.
func TestQuickRun(t *testing.T) {
	startTestServer(t).stop() // or skip
	for _, growing := range []bool{false, true} {
		t.Run("growth="+strconv.FormatBool(growing), func(t *testing.T) {
			cfg := defaults()
			cfg.quicken()
			dir := t.TempDir()
			cfg.growth, cfg.json, cfg.svg = growing, filepath.Join(dir, "bench.json"), dir
			var out bytes.Buffer
			if err := run(t.Context(), cfg, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			checkFiles(t, dir, growing)
			want := "### Targets"
			if growing {
				want = "### Growth: " + growsOwned
			}
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		})
	}
}

func checkFiles(t *testing.T, dir string, growing bool) {
	text, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	// A quick run holds too few sessions to tell their size each time: that is two of the targets.
	if n := len(rep.Targets); !growing && (len(rep.Results) == 0 || n > targetCount || n < targetCount-2) {
		t.Errorf("%d results and %d targets, want some and %d", len(rep.Results), n, targetCount)
	}
	for _, r := range rep.Results {
		if r.CPU <= 0 || r.Store == "redis" && r.Commands > 0 && r.RedisCPU <= 0 {
			t.Errorf("%s on %s: %+v, want the time that processors were used", r.Contender, r.Route, r)
		}
	}
	charts, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(charts) == 0 {
		t.Fatalf("charts %v, %v", charts, err)
	}
	for _, name := range charts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// targetCount is how many targets a whole run judges: rates, routes that ignore the session, allocations and sizes.
const targetCount = 13 + 8 + 3 + 2

func TestHistogramQuantile(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	for _, tt := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 500 * time.Microsecond}, {0.99, 990 * time.Microsecond}} {
		if got := h.quantile(tt.q); got < tt.want || got > tt.want*104/100 {
			t.Errorf("quantile(%v) = %v, want %v or up to 4 %% more", tt.q, got, tt.want)
		}
	}
}

func TestMonitoredName(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{line: `+1339518083.107412 [0 127.0.0.1:60866] "HGETALL" "session:x"`, want: "hgetall"},
		{line: `+1339518083.107412 [0 lua] "hget" "session:x" "a"`, want: ""},
		{line: `+1339518083.107412 [0 127.0.0.1:60866] "client" "setinfo" "LIB-NAME" "x"`, want: ""},
		{line: `+1339518083.107412 [0 127.0.0.1:60866] "CLIENT" "CACHING" "YES"`, want: "client"},
		{line: `+1339518083.107412 [0 127.0.0.1:60866] "ping"`, want: ""},
	} {
		if got := monitoredName(tt.line); got != tt.want {
			t.Errorf("monitoredName(%q) = %q, want %q", tt.line, got, tt.want)
		}
	}
}
