package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
	"github.com/faeeb396/session/conformance"
	"github.com/faeeb396/session/examples/telemetry"
)

// bench is a Telemetry with what it has measured.
type bench struct {
	*telemetry.Telemetry
	traces *sdktrace.TracerProvider
	spans  *tracetest.SpanRecorder
	reader *sdkmetric.ManualReader
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	b.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))
	tel, err := telemetry.New(b.traces, sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)))
	if err != nil {
		t.Fatal(err)
	}
	b.Telemetry = tel
	return b
}

// metrics returns how often each instrument has measured, by its name and attributes.
func (b *bench) metrics(t testing.TB) map[string]uint64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := b.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]uint64)
	name := func(m metricdata.Metrics, set attribute.Set) string {
		return m.Name + " " + set.Encoded(attribute.DefaultEncoder())
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					got[name(m, p.Attributes)] = p.Count
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					got[name(m, p.Attributes)] = uint64(p.Value)
				}
			}
		}
	}
	return got
}

// want checks how often something was measured.
func (b *bench) want(t testing.TB, want map[string]uint64) {
	t.Helper()
	got := b.metrics(t)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d, want %d; all: %v", name, got[name], n, got)
		}
	}
}

// text is all that the spans and metrics say.
func (b *bench) text(t testing.TB) string {
	var text strings.Builder
	for _, s := range b.spans.Ended() {
		fmt.Fprintln(&text, s.Name(), s.Attributes(), s.Status(), s.Events())
	}
	fmt.Fprintln(&text, b.metrics(t))
	return text.String()
}

// A backend that is measured keeps every rule that it kept before.
func TestConformance(t *testing.T) {
	target := func(t *testing.T) conformance.Target {
		return conformance.Target{Backend: newBench(t).Backend(memory.New(nil))}
	}
	conformance.Run(t, target)
	conformance.RunSessions(t, target)
}

// A request's calls are spans of its trace, also those that outlive its context.
func TestRequestIsTraced(t *testing.T) {
	b := newBench(t)
	m, err := session.New(b.Backend(memory.New(nil)), &session.Options{OnEvent: b.OnEvent})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Create(t.Context(), map[string]string{"note": "private"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	token := s.Token().Reveal()
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := m.Get(r)
		if err != nil {
			t.Error(err)
			return
		}
		s.Login("andrew@example.com")
		s.Set("note", "secret")
	}))
	ctx, root := b.traces.Tracer("test").Start(t.Context(), "request")
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", nil)
	m.AddCookie(r, s)
	h.ServeHTTP(httptest.NewRecorder(), r)
	root.End()

	traced := 0
	for _, span := range b.spans.Ended() {
		if span.SpanContext().TraceID() == root.SpanContext().TraceID() && span.Name() != "request" {
			traced++
		}
	}
	if traced != 5 { // all but the Create of the session
		t.Errorf("%d spans in the request's trace", traced)
	}
	b.want(t, map[string]uint64{
		"session.store.duration operation=create,outcome=ok":     2, // the session and the owner's index
		"session.store.duration operation=load,outcome=ok":       1,
		"session.store.duration operation=apply,outcome=refused": 1, // there is no index yet
		"session.store.duration operation=apply,outcome=ok":      2, // the login, and its link is confirmed
		"session.events event=created":                           1,
		"session.events event=login":                             1,
	})
	text := b.text(t)
	for _, secret := range []string{token, token[16:], "andrew", "note", "private", "secret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in what was measured:\n%s", secret, text)
		}
	}
	if !strings.Contains(text, s.ID()) {
		t.Errorf("the session's ID is not in what was measured:\n%s", text)
	}
}

// failing is a store that fails, or panics.
type failing struct {
	backend.Backend
	err error
}

func (f failing) Load(context.Context, string) (backend.Record, error) {
	if f.err == nil {
		panic("hook")
	}
	return backend.Record{}, f.err
}

func (f failing) Ping(context.Context) error { return f.err }

func TestOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		outcome string
		status  codes.Code
	}{
		"refused": {backend.ErrNotFound, "refused", codes.Unset},
		"wrapped": {fmt.Errorf("x: %w", backend.ErrConflict), "refused", codes.Unset},
		"down":    {errors.New("connection refused"), "error", codes.Error},
		"panic":   {nil, "error", codes.Error},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			func() {
				defer func() {
					if p := recover(); (p == "hook") != (tt.err == nil) {
						t.Errorf("recovered %v", p)
					}
				}()
				if _, err := b.Backend(failing{memory.New(nil), tt.err}).Load(t.Context(), "x"); err != tt.err {
					t.Errorf("Load = %v, want %v", err, tt.err)
				}
			}()
			b.want(t, map[string]uint64{"session.store.duration operation=load,outcome=" + tt.outcome: 1})
			if spans := b.spans.Ended(); len(spans) != 1 || spans[0].Status().Code != tt.status {
				t.Errorf("spans %v", b.text(t))
			}
		})
	}
}

// cached is a store with a local cache, which may be off.
type cached struct {
	backend.Backend
	fresh backend.Backend
}

func (c cached) Fresh() backend.Backend { return c.fresh }

// What a store can do beside the four methods it can do when it is measured.
func TestCapabilities(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	mem := memory.New(nil)
	plain := failing{Backend: mem, err: errors.New("down")}
	for name, tt := range map[string]struct {
		below     backend.Backend
		ping      error
		scans     bool
		freshness bool
	}{
		"scanner":  {mem, nil, true, false},
		"pinger":   {plain, plain.err, false, false},
		"cacher":   {cached{mem, mem}, nil, false, true},
		"no cache": {cached{mem, nil}, nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := session.New(b.Backend(tt.below), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Ping(ctx); !errors.Is(err, tt.ping) {
				t.Errorf("Ping = %v, want %v", err, tt.ping)
			}
			var scanned error
			for _, err := range m.IDs(ctx) {
				scanned = err
			}
			if errors.Is(scanned, session.ErrUnsupported) == tt.scans {
				t.Errorf("IDs: %v", scanned)
			}
			c, _ := backend.As[backend.Cacher](b.Backend(tt.below))
			if fresh := c.Fresh(); (fresh != nil) != tt.freshness {
				t.Errorf("Fresh = %v", fresh)
			}
		})
	}
	b.want(t, map[string]uint64{"session.store.duration operation=ping,outcome=error": 1})
	fresh := b.Backend(cached{mem, mem}).(backend.Cacher).Fresh()
	_, _ = fresh.Load(ctx, "x")
	b.want(t, map[string]uint64{"session.store.duration operation=load,outcome=refused": 1})
}
