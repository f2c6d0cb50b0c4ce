package sqlbackend_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const guide = "../../docs/writing-a-backend.md"

// TestGuideShowsThisCode sees to it that each block of Go in the guide stands in one of this module's files, whole
// lines of it, and that the tests it names are there.
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
	for _, path := range paths {
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
		if !strings.Contains(code.String(), "\n"+block[1]) {
			t.Errorf("this block of the guide stands in no file:\n%s", block[1])
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(code.String(), "\nfunc "+name[1]+"(t *testing.T)") {
			t.Errorf("the guide names %s, which is not there", name[1])
		}
	}
}
