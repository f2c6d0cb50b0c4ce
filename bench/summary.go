package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
)

// Summaries go between the lines "<!-- name -->" and "<!-- /name -->" of a file.
const (
	summaryRates  = "bench"
	summaryGrowth = "bench growth"
)

// summarize puts the figures that matter most into the file at path, in place of those that are there.
func (rep *report) summarize(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for name, write := range map[string]func(*printer){summaryRates: rep.summaryOfRates, summaryGrowth: rep.summaryOfGrowth} {
		var section bytes.Buffer
		p := &printer{out: &section}
		if write(p); p.err != nil {
			return p.err
		}
		if section.Len() == 0 {
			continue // not measured in this run
		}
		if text, err = between(text, name, section.Bytes()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return os.WriteFile(path, text, 0o644)
}

// between replaces what is between the two lines of name.
func between(text []byte, name string, section []byte) ([]byte, error) {
	begin, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- /"+name+" -->\n")
	head, rest, ok := bytes.Cut(text, begin)
	_, tail, found := bytes.Cut(rest, end)
	if !ok || !found {
		return nil, fmt.Errorf("no lines %q and %q", bytes.TrimSpace(begin), bytes.TrimSpace(end))
	}
	return slices.Concat(head, begin, section, end, tail), nil
}

func (rep *report) where() string {
	m := rep.Machine
	return fmt.Sprintf("%s, %s, %s, %s, Redis %s on the same machine, %s", m.CPU, m.cores(), m.OS, m.Go, m.Redis, rep.Date.Format("2006-01-02"))
}

// summaryOfRates writes a line for each contender: the rates of all routes, and what is lost.
func (rep *report) summaryOfRates(p *printer) {
	if len(rep.Results) == 0 {
		return
	}
	j := judgement{rep: rep}
	head := []string{"thousand requests per second"}
	for _, r := range measured {
		head = append(head, summaryTitle(r))
	}
	head = append(head, "parallel writes lost", "logout undone")
	var rows [][]string
	var names []string
	for _, res := range rep.Results {
		if slices.Contains(names, res.Contender) {
			continue
		}
		names = append(names, res.Contender)
		row := []string{res.Contender}
		if res.Kind == ours {
			row[0] = "**" + res.Contender + "**"
		}
		for _, r := range measured {
			cell := ""
			if found := j.result(res.Contender, r); found != nil {
				cell = twoDigits(found.Rate / 1000)
			}
			row = append(row, cell)
		}
		rows = append(rows, append(row, rep.lost(res.Contender)...))
	}
	p.printf("%d at a time; %s:\n\n", j.parallel(), rep.where())
	p.table(head, rows)
}

func summaryTitle(r route) string {
	return cmp.Or(map[route]string{routeLogin: "log in", routeLogout: "log out", routeIgnore: "ignores the session"}[r], string(r))
}

// lost returns two cells: what parallel writes the contender loses, and whether it lets a logout be undone.
func (rep *report) lost(contender string) []string {
	for _, x := range rep.Promises {
		if x.Contender == contender {
			undone := "no"
			if x.LogoutUndone {
				undone = "yes"
			}
			return []string{fmt.Sprintf("%d of %d", x.WritesLost, x.Writes), undone}
		}
	}
	return []string{"", ""}
}

// summaryOfGrowth writes how reads and memory grow with the number of sessions.
func (rep *report) summaryOfGrowth(p *printer) {
	if rep.Growth == nil {
		return
	}
	reads := slices.DeleteFunc(rep.Growth.series(growsSessions), func(s series) bool { return s[0].Call != string(routeRead) })
	p.printf("%d at a time; %s:\n\n", targetParallel, rep.where())
	p.lines(growsSessions, reads)
}

// twoDigits writes a number with two digits that count.
func twoDigits(f float64) string {
	if f <= 0 {
		return "0"
	}
	if f < 10 {
		return fmt.Sprintf("%.1f", f)
	}
	unit := math.Pow(10, math.Floor(math.Log10(f))-1)
	return strings.TrimSpace(thousands(math.Round(f/unit) * unit))
}
