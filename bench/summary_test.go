package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rep := &report{
		Results: []result{
			{Contender: "x", Kind: ours, Store: "redis", Route: routeRead, Parallel: 32, Rate: 123456},
			{Contender: "y", Kind: peer, Store: "redis", Route: routeRead, Parallel: 32, Rate: 9870},
		},
		Promises: []promise{{Contender: "y", Writes: 64, WritesLost: 63, LogoutUndone: true}},
	}
	write("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n<!-- bench growth -->\nkept\n<!-- /bench growth -->\n")
	for range 2 { // what was written is replaced again
		if err := rep.summarize(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cells []string
	for line := range strings.Lines(string(got)) {
		cells = append(cells, strings.Join(strings.Fields(line), " "))
	}
	text := strings.Join(cells, "\n")
	for _, want := range []string{
		"before\n<!-- bench -->\n32 at a time;", "| **x** | 120 | | |", "| y | 9.9 | | | | | | 63 of 64 | yes |\n<!-- /bench -->\nafter\n",
		"<!-- bench growth -->\nkept\n<!-- /bench growth -->",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	write("<!-- bench -->\nno end\n")
	if err := rep.summarize(path); err == nil {
		t.Error("no error for a file without the line at the end")
	}
}

func TestTwoDigits(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 0.26: "0.3", 9.87: "9.9", 10.4: "10", 99.6: "100", 123.4: "120", 4832.7: "4 800", 19665: "20 000"} {
		if got := twoDigits(f); got != want {
			t.Errorf("twoDigits(%v) = %q, want %q", f, got, want)
		}
	}
}

func TestCores(t *testing.T) {
	for _, tt := range []struct {
		machine machine
		want    string
	}{
		{machine{Cores: 2}, "2 cores"},
		{machine{Cores: 1, RedisCPUs: "1"}, "1 core and CPU 1 for Redis"},
	} {
		if got := tt.machine.cores(); got != tt.want {
			t.Errorf("cores of %+v = %q, want %q", tt.machine, got, tt.want)
		}
	}
}
