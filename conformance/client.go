package conformance

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/faeeb396/session/backend"
)

// A client is a backend in a trial.
//
// Its methods write down each call as a step of the case and fail the case if something else comes back than
// their name says, all but those that begin with "try": these only note that the call is under way, for use by
// goroutines.
type client struct {
	tr   *trial
	b    backend.Backend
	ctx  context.Context
	name string // goes before the names of methods in the steps
}

// with returns c with another context.
func (c client) with(ctx context.Context) client {
	c.ctx = ctx
	return c
}

func (c client) tryCreate(id string, rec backend.Record) error {
	defer c.tr.calling(func() string { return c.name + callCreate(id, rec) })()
	return c.b.Create(c.ctx, id, rec)
}

func (c client) tryLoad(id string) (backend.Record, error) {
	defer c.tr.calling(func() string { return c.name + callLoad(id) })()
	return c.b.Load(c.ctx, id)
}

func (c client) tryApply(id string, p backend.Patch) (backend.Record, error) {
	defer c.tr.calling(func() string { return c.name + callApply(id, p) })()
	return c.b.Apply(c.ctx, id, p)
}

func (c client) tryDelete(id string) error {
	defer c.tr.calling(func() string { return c.name + callDelete(id) })()
	return c.b.Delete(c.ctx, id)
}

func (c client) tryFresh(cacher backend.Cacher) backend.Backend {
	defer c.tr.calling(func() string { return c.name + "Fresh()" })()
	return cacher.Fresh()
}

func (c client) create(id string, rec backend.Record) {
	c.createFails(id, rec, nil)
}

// createFails expects Create to fail with want, or to succeed if that is nil.
func (c client) createFails(id string, rec backend.Record, want error) {
	err := c.tryCreate(id, rec)
	c.tr.stepf("%s%s = %s", c.name, callCreate(id, rec), showError(err))
	c.check("Create", err, want)
}

// wantLoad expects Load to return want.
func (c client) wantLoad(id string, want backend.Record) {
	got := c.load(id)
	c.same("Load", got, want)
}

// wantFields expects Load to return these fields, and time.Hour, as made sets it.
func (c client) wantFields(id string, want fields) {
	c.wantLoad(id, record(want))
}

// load expects Load to find a record.
func (c client) load(id string) backend.Record {
	rec, err := c.tryLoad(id)
	c.tr.stepf("%s%s = %s", c.name, callLoad(id), showResult(rec, err))
	c.check("Load", err, nil)
	return rec
}

// wantGone expects Load to find nothing.
func (c client) wantGone(id string) { c.loadFails(id, backend.ErrNotFound) }

func (c client) loadFails(id string, want error) {
	rec, err := c.tryLoad(id)
	c.tr.stepf("%s%s = %s", c.name, callLoad(id), showResult(rec, err))
	c.check("Load", err, want)
}

// apply expects Apply to succeed.
func (c client) apply(id string, p backend.Patch) backend.Record {
	rec, err := c.tryApply(id, p)
	c.tr.stepf("%s%s = %s", c.name, callApply(id, p), showResult(rec, err))
	c.check("Apply", err, nil)
	return rec
}

// wantApply expects Apply to return want.
func (c client) wantApply(id string, p backend.Patch, want backend.Record) {
	got := c.apply(id, p)
	c.same("Apply", got, want)
}

func (c client) applyFails(id string, p backend.Patch, want error) {
	rec, err := c.tryApply(id, p)
	c.tr.stepf("%s%s = %s", c.name, callApply(id, p), showResult(rec, err))
	c.check("Apply", err, want)
}

func (c client) delete(id string) { c.deleteFails(id, nil) }

func (c client) deleteFails(id string, want error) {
	err := c.tryDelete(id)
	c.tr.stepf("%s%s = %s", c.name, callDelete(id), showError(err))
	c.check("Delete", err, want)
}

// check fails the case if a method did not return the error want.
func (c client) check(method string, got, want error) {
	c.one(method, got)
	if !errors.Is(got, want) {
		c.tr.failf("%s returned another error, mismatch (-want +got):\n  - %s\n  + %s", method, showError(want), showError(got))
	}
}

// one expects an error to be one of the contract's at most: which one it is decides what a Manager does.
func (c client) one(method string, got error) {
	var are []string
	for _, err := range []error{
		backend.ErrNotFound, backend.ErrExists, backend.ErrConflict, backend.ErrCounter, backend.ErrUnreadable, backend.ErrNotReplicated,
	} {
		if errors.Is(got, err) {
			are = append(are, showError(err))
		}
	}
	if len(are) > 1 {
		c.tr.failf("%s returned an error that is %s at once: %q", method, strings.Join(are, " and "), got)
	}
}

// same fails the case if a method returned another record than want.
func (c client) same(method string, got, want backend.Record) {
	if d := diff(want, got); d != "" {
		c.tr.failf("%s returned another record, mismatch (-want +got):\n%s", method, d)
	}
}

// diff compares records, without making a difference between no fields and an empty map. It returns "" if
// they are the same.
func diff(want, got backend.Record) string {
	if want.TTL == got.TTL && maps.Equal(want.Fields, got.Fields) {
		return ""
	}
	if max(len(want.Fields), len(got.Fields)) > maxCompared {
		want, got = differing(want, got)
	}
	const most = 4 << 10
	d := cmp.Diff(want, got, cmpopts.EquateEmpty())
	if len(d) > most {
		d = d[:most] + "…"
	}
	return d
}

// maxCompared is of how many fields cmp is given all: it takes its time over thousands.
const maxCompared = 500

// differing returns two records with those of their fields alone that are not the same in both, or some of them.
func differing(a, b backend.Record) (backend.Record, backend.Record) {
	inA, inB := fields{}, fields{}
	for _, name := range slices.Sorted(maps.Keys(with(a.Fields, b.Fields))) {
		v, ok := a.Fields[name]
		w, ok2 := b.Fields[name]
		if ok == ok2 && v == w || len(inA)+len(inB) >= maxCompared/10 {
			continue
		}
		if ok {
			inA[name] = v
		}
		if ok2 {
			inB[name] = w
		}
	}
	return backend.Record{Fields: inA, TTL: a.TTL}, backend.Record{Fields: inB, TTL: b.TTL}
}

// clone returns a record that shares nothing with rec.
func clone(rec backend.Record) backend.Record {
	rec.Fields = maps.Clone(rec.Fields)
	return rec
}

// clonePatch returns a patch that shares nothing with p.
func clonePatch(p backend.Patch) backend.Patch {
	p.If, p.Set, p.Add = maps.Clone(p.If), maps.Clone(p.Set), maps.Clone(p.Add)
	p.Has, p.Delete = slices.Clone(p.Has), slices.Clone(p.Delete)
	return p
}
