package main

import (
	"fmt"
	"net/http"
	"strconv"
)

const (
	parallelWrites = 64
	parallelCounts = 1000
)

// promise is what became of a contender's data when requests interfered.
type promise struct {
	Contender    string `json:"contender"`
	Kind         kind   `json:"kind"`
	Writes       int    `json:"parallel_writes"`
	WritesLost   int    `json:"writes_lost"` // each to a field of its own
	Counts       int    `json:"parallel_counts"`
	CountsLost   int    `json:"counts_lost"`
	LogoutUndone bool   `json:"logout_undone"` // by a request that had begun before it
}

// keepPromises finds out what the contender loses. counts is how many requests count.
func keepPromises(c *contender, counts int) (promise, error) {
	p := promise{Contender: c.name, Kind: c.kind, Writes: parallelWrites, Counts: counts}
	var err error
	if p.WritesLost, err = lostWrites(c); err != nil {
		return p, err
	}
	if p.CountsLost, err = lostCounts(c, counts); err != nil {
		return p, err
	}
	p.LogoutUndone, err = logoutUndone(c)
	return p, err
}

// newSession makes a session and returns its cookie.
func newSession(c *contender) (string, error) {
	j, err := seed(c, routeSeed, 1)
	if err != nil {
		return "", err
	}
	return j.get(0), nil
}

// lostWrites has requests set a field of their own each, all at a time: all have read the session before the first
// writes. It returns how many of the fields are not there afterwards.
func lostWrites(c *contender) (int, error) {
	cookie, err := newSession(c)
	if err != nil {
		return 0, err
	}
	held := newGate()
	c.gate.now.Store(held)
	var group failing
	for i := range parallelWrites {
		group.run(func() error {
			return expectOK(c, routeField, c.agent().do(routeField, cookie, "field"+strconv.Itoa(i), "written"))
		})
	}
	for range parallelWrites {
		<-held.entered
	}
	c.gate.now.Store(nil)
	close(held.open)
	if err := group.wait(); err != nil {
		return 0, err
	}
	lost := 0
	for i := range parallelWrites {
		resp := c.agent().do(routeShow, cookie, "field"+strconv.Itoa(i), "")
		if err := expectOK(c, routeShow, resp); err != nil {
			return 0, err
		}
		if string(resp.body) != "written" {
			lost++
		}
	}
	return lost, nil
}

// lostCounts has n requests count, all at a time, and returns by how many the counter is short.
func lostCounts(c *contender, n int) (int, error) {
	cookie, err := newSession(c)
	if err != nil {
		return 0, err
	}
	var group failing
	begin := make(chan struct{})
	for range n {
		a := c.agent()
		group.run(func() error {
			<-begin
			return expectOK(c, routeCount, a.do(routeCount, cookie, "", ""))
		})
	}
	close(begin)
	if err := group.wait(); err != nil {
		return 0, err
	}
	resp := c.agent().do(routeCount, cookie, "", "")
	total, err := strconv.Atoi(string(resp.body))
	if err != nil {
		return 0, fmt.Errorf("%s: count: %w", c.name, err)
	}
	const seeded, last = 3, 1
	return seeded + n + last - total, nil
}

// logoutUndone has a slow request read the session, logs out, lets the slow request write, and reports whether the
// old cookie works again.
func logoutUndone(c *contender) (bool, error) {
	cookie, err := newSession(c)
	if err != nil {
		return false, err
	}
	held := newGate()
	c.gate.now.Store(held)
	slow := make(chan response, 1)
	go func() { slow <- c.agent().do(routeField, cookie, "field0", "written") }()
	<-held.entered
	c.gate.now.Store(nil)
	logout := c.agent().do(routeLogout, cookie, "", "")
	close(held.open)
	<-slow // it may fail
	if err := expectOK(c, routeLogout, logout); err != nil {
		return false, err
	}
	resp := c.agent().do(routeShow, cookie, "field0", "")
	return resp.status == http.StatusOK && string(resp.body) == "written", nil
}

func expectOK(c *contender, r route, resp response) error {
	if resp.status != http.StatusOK {
		return fmt.Errorf("%s: %s: status %d: %s", c.name, r, resp.status, resp.body)
	}
	return nil
}
