package sqlbackend_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	guide  = "../../docs/writing-a-backend.md"
	readme = "../../README.md"
)

// TestGuideShowsThisCode sees to it that each block of Go in the guide stands in one of this module's files or in the
// README, whole lines of it, and that the tests it names are there. Of a block that is a whole file, that is so of what
// comes after its imports.
func TestGuideShowsThisCode(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, path := range append(paths, readme) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code.WriteString("\n")
		code.Write(b)
	}

	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Error("the guide has no block of Go")
	}
	for _, block := range blocks {
		shown := block[1]
		if strings.HasPrefix(shown, "package ") {
			if _, err := parser.ParseFile(token.NewFileSet(), "", shown, 0); err != nil {
				t.Errorf("a whole file of the guide: %v", err)
			}
			_, shown, _ = strings.Cut(shown, "\n)\n\n")
		}
		if shown == "" || !strings.Contains(code.String(), "\n"+shown) {
			t.Errorf("this block of the guide stands in no file:\n%s", block[1])
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(code.String(), "\nfunc "+name[1]+"(t *testing.T)") {
			t.Errorf("the guide names %s, which is not there", name[1])
		}
	}
}
