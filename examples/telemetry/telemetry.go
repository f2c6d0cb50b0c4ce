// Package telemetry measures a session store with OpenTelemetry: a span and a duration for each call to the store, and
// a count of what happens to sessions. It is short, to be copied and changed.
//
//	tel, err := telemetry.New(otel.GetTracerProvider(), otel.GetMeterProvider())
//	…
//	sessions, err := session.New(tel.Backend(goredis.New(rdb, nil)), &session.Options{OnEvent: tel.OnEvent})
//
// The instruments, of the scope github.com/faeeb396/session/examples/telemetry:
//
//   - session.store.duration, a histogram in seconds, with the attributes operation (create, load, apply, delete, scan or
//     ping) and outcome: ok; refused, where the store has answered that it cannot be, as "not found"; or error.
//   - session.events, a counter, with the attribute event: created, login, store error and so on, see session.EventKind.
//
// A span has the same attributes and the public ID of the session, and with an error its text; none holds a token, an
// owner or data. A local cache's hits are calls, too, of some hundred nanoseconds each: see Options.LocalCache of
// backend/rueidis.
package telemetry

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/faeeb396/session"
	"github.com/faeeb396/session/backend"
)

const scope = "github.com/faeeb396/session/examples/telemetry"

// Telemetry has the instruments. It is safe for concurrent use.
type Telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	events   metric.Int64Counter
}

// New returns a Telemetry with instruments of these providers.
func New(tp trace.TracerProvider, mp metric.MeterProvider) (*Telemetry, error) {
	meter := mp.Meter(scope)
	duration, err := meter.Float64Histogram("session.store.duration", metric.WithUnit("s"),
		metric.WithDescription("How long calls to the session store take."),
		metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5))
	if err != nil {
		return nil, err
	}
	events, err := meter.Int64Counter("session.events", metric.WithUnit("{event}"),
		metric.WithDescription("What happens to sessions."))
	if err != nil {
		return nil, err
	}
	return &Telemetry{tp.Tracer(scope), duration, events}, nil
}

// OnEvent counts e, and logs it as a Manager without a hook does. It is for session.Options.OnEvent.
func (t *Telemetry) OnEvent(ctx context.Context, e session.Event) {
	t.events.Add(ctx, 1, metric.WithAttributes(attribute.String("event", string(e.Kind))))
	log(ctx, e)
}

var log = session.LogEvents(nil)

// Backend returns b, measured. What it can do beside the four methods, it can do, too.
func (t *Telemetry) Backend(b backend.Backend) backend.Backend { return &measured{b, t} }

// measured is a backend that is measured. It does not use backend.Unwrapper, by which its other methods would be called
// past it.
type measured struct {
	b backend.Backend
	t *Telemetry
}

var (
	_ backend.Backend = (*measured)(nil)
	_ backend.Pinger  = (*measured)(nil)
	_ backend.Scanner = (*measured)(nil)
	_ backend.Cacher  = (*measured)(nil)
)

// call makes a call. What the store has refused is no error of it.
func (t *Telemetry) call(ctx context.Context, operation, id string, do func(context.Context) error) (err error) {
	op := attribute.String("operation", operation)
	ctx, span := t.tracer.Start(ctx, "session "+operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(op))
	if id != "" && !strings.HasPrefix(id, "owner:") { // the index of an owner's sessions
		span.SetAttributes(attribute.String("session.id", id))
	}
	began := time.Now()
	returned := false
	defer func() {
		outcome := "ok"
		switch {
		case !returned: // a panic goes on
			outcome = "error"
			span.SetStatus(codes.Error, "panic")
		case refused(err):
			outcome = "refused"
		case err != nil:
			outcome = "error"
			span.SetStatus(codes.Error, err.Error())
		}
		o := attribute.String("outcome", outcome)
		span.SetAttributes(o)
		t.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(op, o))
		span.End()
	}()
	err = do(ctx)
	returned = true
	return err
}

func refused(err error) bool {
	for _, e := range []error{backend.ErrNotFound, backend.ErrExists, backend.ErrConflict, backend.ErrCounter} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Create implements [backend.Backend].
func (m *measured) Create(ctx context.Context, id string, rec backend.Record) error {
	return m.t.call(ctx, "create", id, func(ctx context.Context) error { return m.b.Create(ctx, id, rec) })
}

// Load implements [backend.Backend].
func (m *measured) Load(ctx context.Context, id string) (rec backend.Record, err error) {
	err = m.t.call(ctx, "load", id, func(ctx context.Context) (err error) {
		rec, err = m.b.Load(ctx, id)
		return err
	})
	return rec, err
}

// Apply implements [backend.Backend].
func (m *measured) Apply(ctx context.Context, id string, p backend.Patch) (rec backend.Record, err error) {
	err = m.t.call(ctx, "apply", id, func(ctx context.Context) (err error) {
		rec, err = m.b.Apply(ctx, id, p)
		return err
	})
	return rec, err
}

// Delete implements [backend.Backend].
func (m *measured) Delete(ctx context.Context, id string) error {
	return m.t.call(ctx, "delete", id, func(ctx context.Context) error { return m.b.Delete(ctx, id) })
}

// Ping implements [backend.Pinger]. A backend that has none is taken to be well.
func (m *measured) Ping(ctx context.Context) error {
	return m.t.call(ctx, "ping", "", func(ctx context.Context) error {
		if p, ok := backend.As[backend.Pinger](m.b); ok {
			return p.Ping(ctx)
		}
		return ctx.Err()
	})
}

// Scan implements [backend.Scanner]. The time that the loop takes is in the measure.
func (m *measured) Scan(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		_ = m.t.call(ctx, "scan", "", func(ctx context.Context) (err error) {
			s, ok := backend.As[backend.Scanner](m.b)
			if !ok {
				yield("", session.ErrUnsupported)
				return session.ErrUnsupported
			}
			for id, e := range s.Scan(ctx) {
				if !yield(id, e) {
					return e
				}
				err = e
			}
			return err
		})
	}
}

// Fresh implements [backend.Cacher]: what reads past a cache is measured as well.
func (m *measured) Fresh() backend.Backend {
	c, ok := backend.As[backend.Cacher](m.b)
	if !ok {
		return nil
	}
	fresh := c.Fresh()
	if fresh == nil {
		return nil
	}
	return m.t.Backend(fresh)
}
