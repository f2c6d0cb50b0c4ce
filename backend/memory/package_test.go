package memory_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/faeeb396/session/backend"
	"github.com/faeeb396/session/backend/memory"
)

// Who uses this backend alone compiles no third-party package.
func TestPackageImportsNoThirdParty(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not on PATH")
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	const module = "github.com/faeeb396/session/"
	for line := range strings.Lines(string(out)) {
		if path := strings.TrimSpace(line); !strings.HasPrefix(path, module) {
			t.Errorf("imports %s", path)
		}
	}
	if !strings.Contains(string(out), module+"backend/memory\n") {
		t.Errorf("go list does not know the package:\n%s", out)
	}
}

// Nothing runs but the calls of those who use the backend. A bubble does not end while a goroutine is left.
func TestPackageStartsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(&memory.Options{MaxRecords: 100})
		for i := range 1000 {
			create(t, b, sessionID(i), time.Hour)
			b.Load(t.Context(), sessionID(i))
			b.Apply(t.Context(), sessionID(i), backend.Patch{TTL: time.Second})
			b.Delete(t.Context(), sessionID(i-1))
		}
		scan(t, b)
	})

	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for node := range ast.Preorder(tree) {
			switch node := node.(type) {
			case *ast.GoStmt:
				t.Errorf("%v: starts a goroutine", set.Position(node.Pos()))
			case *ast.SelectorExpr:
				switch node.Sel.Name {
				case "Go", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "AddCleanup", "SetFinalizer":
					t.Errorf("%v: %s", set.Position(node.Pos()), node.Sel.Name)
				}
			}
		}
	}
}
