package redishash_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/internal/redishash"
	"github.com/faeeb396/session/backend/memory"
)

// byTokenPatch returns the least of the patches that touch.lua is for.
func byTokenPatch() backend.Patch {
	return backend.Patch{
		If:    map[string]string{"session_token": "t", "session_version": ""},
		Has:   []string{"created_at", "last_accessed_at"},
		Set:   map[string]string{"last_accessed_at": "now"},
		Touch: true,
		Load:  true,
	}
}

// byEpochPatch returns the least of the patches that change.lua is for.
func byEpochPatch() backend.Patch {
	return backend.Patch{
		If:  map[string]string{"created_at": "c", "session_epoch": ""},
		Has: []string{"last_accessed_at", "session_token"},
		Set: map[string]string{"a": "1"},
	}
}

// script returns the name of the script that does what p says.
func script(p backend.Patch) string {
	empty, byToken, byEpoch := backend.Patch{}, byTokenPatch(), byEpochPatch()
	switch call := redishash.Apply("k", &p, redishash.Counters(&p)); call.Script {
	case redishash.Apply("k", &empty, nil).Script:
		return "apply.lua"
	case redishash.Apply("k", &byToken, nil).Script:
		return "touch.lua"
	case redishash.Apply("k", &byEpoch, nil).Script:
		return "change.lua"
	default:
		return call.SHA1
	}
}

func TestApplyOwnScripts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		base   func() backend.Patch
		change func(p *backend.Patch)
		script string
		args   []string
	}{
		{
			name: "touch", base: byTokenPatch, script: "touch.lua",
			change: func(*backend.Patch) {},
			args:   []string{"t", "now"},
		},
		{
			name: "touch and count", base: byTokenPatch, script: "touch.lua",
			change: func(p *backend.Patch) { p.Add = map[string]int64{"n": -2} },
			args:   []string{"t", "now", "n", "-2"},
		},
		{
			name: "touch and set", base: byTokenPatch, script: "touch.lua",
			change: func(p *backend.Patch) { p.Set["a"] = "1" },
			args:   []string{"t", "now", "", "", "a", "1"},
		},
		{
			name: "touch, count and set", base: byTokenPatch, script: "touch.lua",
			change: func(p *backend.Patch) { p.Set["a"], p.Add = "1", map[string]int64{"n": 2} },
			args:   []string{"t", "now", "n", "2", "a", "1"},
		},
		{
			name: "change", base: byEpochPatch, script: "change.lua",
			change: func(*backend.Patch) {},
			args:   []string{"c", "", "-", "a", "1"},
		},
		{
			name: "change, count and touch", base: byEpochPatch, script: "change.lua",
			change: func(p *backend.Patch) {
				p.If["session_epoch"], p.Touch, p.Add = "3", true, map[string]int64{"n": 2}
			},
			args: []string{"c", "3", "b", "n", "2", "a", "1"},
		},
		{
			name: "count", base: byEpochPatch, script: "change.lua",
			change: func(p *backend.Patch) { p.Set, p.Add = nil, map[string]int64{"n": 2} },
			args:   []string{"c", "", "c", "n", "2"},
		},
		{
			name: "change and touch", base: byEpochPatch, script: "change.lua",
			change: func(p *backend.Patch) { p.Touch = true },
			args:   []string{"c", "", "t", "a", "1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.base()
			tt.change(&p)
			if got := script(p); got != tt.script {
				t.Errorf("sent to %s, want %s", got, tt.script)
			}
			call := redishash.Apply("k", &p, redishash.Counters(&p))
			if diff := cmp.Diff(tt.args, call.Args); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the two scripts do not look at must not be in a patch that they are given.
func TestApplyOtherPatches(t *testing.T) {
	more := func(p *backend.Patch, n int) {
		for i := range n {
			p.Set["f"+strconv.Itoa(i)] = ""
		}
	}
	for name, change := range map[string]func(p *backend.Patch){
		"another condition":    func(p *backend.Patch) { p.If["b"] = "" },
		"another for one":      func(p *backend.Patch) { swap(p.If, "session_version", "b"); swap(p.If, "session_epoch", "b") },
		"no version":           func(p *backend.Patch) { delete(p.If, "session_version"); delete(p.If, "session_epoch") },
		"a version":            func(p *backend.Patch) { p.If["session_version"] = "1" },
		"an empty condition":   func(p *backend.Patch) { blank(p.If, "session_token"); blank(p.If, "created_at") },
		"no condition":         func(p *backend.Patch) { p.If = nil },
		"one more to be there": func(p *backend.Patch) { p.Has = append(p.Has, "b") },
		"one less":             func(p *backend.Patch) { p.Has = p.Has[:1] },
		"others":               func(p *backend.Patch) { p.Has = []string{"b", "c"} },
		"a new TTL":            func(p *backend.Patch) { p.TTL = time.Minute },
		"a removal":            func(p *backend.Patch) { p.Set, p.Touch, p.Remove = nil, false, true },
		"a field to delete":    func(p *backend.Patch) { p.Delete = []string{"b"} },
		"two counters":         func(p *backend.Patch) { p.Add = map[string]int64{"n": 1, "m": 1} },
		"a known counter":      func(p *backend.Patch) { p.Add = map[string]int64{"session_epoch": 1} },
		"many fields":          func(p *backend.Patch) { more(p, 1000) },
		"nothing to do":        func(p *backend.Patch) { p.Set, p.Touch = nil, false },
		"another reply":        func(p *backend.Patch) { p.Load = !p.Load },
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range []backend.Patch{byTokenPatch(), byEpochPatch()} {
				change(&p)
				if got := script(p); got != "apply.lua" {
					t.Errorf("%+v is sent to %s, want apply.lua", p, got)
				}
			}
		})
	}
	byToken := byTokenPatch()
	byToken.Touch = false
	if got := script(byToken); got != "apply.lua" {
		t.Errorf("without a touch, sent to %s, want apply.lua", got)
	}
	byToken, byEpoch := byTokenPatch(), byEpochPatch()
	more(&byToken, 7)
	more(&byEpoch, 999)
	if a, b := script(byToken), script(byEpoch); a != "touch.lua" || b != "change.lua" {
		t.Errorf("eight and a thousand fields are sent to %s and %s, want touch.lua and change.lua", a, b)
	}
	more(&byToken, 8)
	more(&byEpoch, 1000)
	if a, b := script(byToken), script(byEpoch); a != "apply.lua" || b != "apply.lua" {
		t.Errorf("one more are sent to %s and %s, want apply.lua", a, b)
	}
}

func swap(m map[string]string, from, to string) {
	if v, ok := m[from]; ok {
		delete(m, from)
		m[to] = v
	}
}

func blank(m map[string]string, name string) {
	if _, ok := m[name]; ok {
		m[name] = ""
	}
}

// scripts notes to which scripts patches go.
type scripts struct {
	backend.Backend
	used []string
}

func (s *scripts) Apply(ctx context.Context, id string, p backend.Patch) (backend.Record, error) {
	s.used = append(s.used, script(p))
	return s.Backend.Apply(ctx, id, p)
}

// What the Manager does for most requests goes to the scripts that are made for it.
func TestManagersPatchesHaveOwnScripts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripts{Backend: memory.New(nil)}
		m, err := session.New(b, &session.Options{TouchInterval: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		everyRead, err := session.New(b, &session.Options{TouchInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Create(t.Context(), map[string]string{"a": "1"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		token := s.Token()
		request := func(use func(s *session.Session)) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.AddCookie(&http.Cookie{Name: "__Host-sid", Value: token.Reveal()})
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s, err := m.Get(r)
				if err != nil {
					t.Error(err)
				}
				use(s)
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
		for _, tt := range []struct {
			name, want string
			use        func() error
		}{
			{"Touch", "touch.lua", func() error { _, err := m.Touch(t.Context(), token); return err }},
			{"a touch at every read", "touch.lua", func() error { _, err := everyRead.Load(t.Context(), token); return err }},
			{"Manager.Increment", "touch.lua", func() error { _, err := m.Increment(t.Context(), token, "n", 1); return err }},
			{"SetFields", "touch.lua", func() error {
				_, err := m.SetFields(t.Context(), token, map[string]string{"a": "2"})
				return err
			}},
			{"Set", "change.lua", func() error { request(func(s *session.Session) { s.Set("a", "3") }); return nil }},
			{"Session.Increment", "change.lua", func() error {
				request(func(s *session.Session) { _, err = s.Increment(t.Context(), "n", 1) })
				return err
			}},
			{"a touch that is due", "change.lua", func() error {
				time.Sleep(3 * time.Second)
				request(func(*session.Session) {})
				return nil
			}},
		} {
			b.used = nil
			if err := tt.use(); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			if diff := cmp.Diff([]string{tt.want}, b.used); diff != "" {
				t.Errorf("%s: scripts, mismatch (-want +got):\n%s", tt.name, diff)
			}
		}
	})
}
