package redistest

import (
	"fmt"
	"strconv"
	"testing"
)

// Migration is a slot on its way from one master to another. Between its steps, requests for keys that have
// moved already are answered with ASK.
type Migration struct {
	c        *Cluster
	slot     int
	from, to *Server
	toID     string // of the node to
}

// MigrateSlot moves a slot and its keys to another master, while both serve requests.
func (c *Cluster) MigrateSlot(tb testing.TB, slot int, to *Server) {
	tb.Helper()
	m := c.BeginMigration(tb, slot, to)
	m.MoveKeys(tb)
	m.Finish(tb)
}

// BeginMigration begins to move a slot to another master: the old one sends requests for keys that it does not
// have there with ASK. [Migration.MoveKeys] and [Migration.Finish] do the rest.
func (c *Cluster) BeginMigration(tb testing.TB, slot int, to *Server) *Migration {
	tb.Helper()
	m := &Migration{c: c, slot: slot, from: c.masterOfSlot(tb, slot), to: to}
	if m.from == to {
		tb.Fatalf("redistest: %s serves slot %d already", to.Addr(), slot)
	}
	m.toID = to.Do(tb, "CLUSTER", "MYID").String()
	fromID := m.from.Do(tb, "CLUSTER", "MYID").String()
	m.set(tb, to, "IMPORTING", fromID)
	m.set(tb, m.from, "MIGRATING", m.toID)
	return m
}

// set sets the state of the slot on a node.
func (m *Migration) set(tb testing.TB, s *Server, state, id string) {
	tb.Helper()
	s.Do(tb, "CLUSTER", "SETSLOT", strconv.Itoa(m.slot), state, id)
}

// MoveKeys moves all keys of the slot.
func (m *Migration) MoveKeys(tb testing.TB) {
	tb.Helper()
	for {
		keys := m.from.Do(tb, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(m.slot), "100").Strings()
		if len(keys) == 0 {
			return
		}
		timeout := strconv.FormatInt(replyTimeout.Milliseconds(), 10)
		args := []string{"MIGRATE", "127.0.0.1", strconv.Itoa(m.to.port), "", "0", timeout, "KEYS"}
		m.from.Do(tb, append(args, keys...)...)
	}
}

// Finish hands the slot over, and returns when all nodes that answer know it. The slot must be empty.
func (m *Migration) Finish(tb testing.TB) {
	tb.Helper()
	m.set(tb, m.to, "NODE", m.toID) // first, so that the slot always has an owner
	m.set(tb, m.from, "NODE", m.toID)
	for _, s := range m.c.Masters(tb) {
		m.set(tb, s, "NODE", m.toID)
	}
	if err := eventually(m.done); err != nil {
		tb.Fatalf("redistest: migration of slot %d: %v", m.slot, err)
	}
}

// done returns an error if a node does not know yet who serves the slot.
func (m *Migration) done() error {
	for _, s := range m.c.nodes {
		if !s.answers() {
			continue
		}
		v, err := view(s)
		if err != nil {
			return err
		}
		if !v[m.to.port].has(m.slot) {
			return fmt.Errorf("%s does not know the new owner", s.Addr())
		}
	}
	return nil
}
