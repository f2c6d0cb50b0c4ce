package session_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every test that the documents name is there.
func TestDocsNameTestsThatExist(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source.WriteString(readFile(t, file))
		}
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z]\\w+)`")
	for _, doc := range append(docs, "README.md", "SECURITY.md", "CONTRIBUTING.md") {
		for _, m := range named.FindAllStringSubmatch(readFile(t, doc), -1) {
			if !strings.Contains(source.String(), "func "+m[1]+"(") {
				t.Errorf("%s names %s, which does not exist", doc, m[1])
			}
		}
	}
}

// The program in the README builds.
func TestReadmeProgramBuilds(t *testing.T) {
	_, rest, ok := strings.Cut(readFile(t, "README.md"), "```go\npackage main\n")
	if !ok {
		t.Fatal("README.md holds no program")
	}
	program, _, _ := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte("package main\n"+program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("go vet of the README's program: %v\n%s", err, out)
	}
}
