package archtest

import (
	"bytes"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is where the module starts, seen from the folder that these tests run in.
const root = "../.."

// tree returns the text files of the repository with their contents. What was built or
// installed is left out. Reading every file also lets the go command notice that a
// cached result of these tests is out of date.
func tree(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another package's test removed a file of its own
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "node_modules", "bin"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || d.Name() == ".git" { // a file in a second work tree
			return nil
		}
		content, err := os.ReadFile(full)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && bytes.IndexByte(content, 0) < 0 { // a binary has zero bytes
			files[filepath.ToSlash(rel)] = content
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(files["go.mod"], []byte("module "+module+"\n")) {
		t.Fatalf("%s is not the root of %s", root, module)
	}
	return files
}

// goFiles narrows a tree to the Go files of this module: test data is not compiled,
// and tools is a module of its own.
func goFiles(files map[string][]byte) map[string][]byte {
	kept := map[string][]byte{}
	for name, content := range files {
		foreign := strings.HasPrefix(name, "tools/") || slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool {
			return part == "testdata" || strings.HasPrefix(part, ".") || strings.HasPrefix(part, "_")
		})
		if strings.HasSuffix(name, ".go") && !foreign {
			kept[name] = content
		}
	}
	return kept
}

// folder names the package that a file belongs to, in the manner of unit.path.
func folder(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

// graph reads what the shipped files of each package import, on every platform.
func graph(files map[string][]byte) ([]unit, error) {
	imports := map[string]map[string]bool{}
	for name, content := range goFiles(files) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, content, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		at := folder(name)
		if imports[at] == nil {
			imports[at] = map[string]bool{}
		}
		for _, spec := range parsed.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			imports[at][to] = true
		}
	}
	var units []unit
	for _, at := range slices.Sorted(maps.Keys(imports)) {
		units = append(units, unit{at, slices.Sorted(maps.Keys(imports[at]))})
	}
	return units, nil
}

func TestGraph(t *testing.T) {
	t.Parallel()
	got, err := graph(map[string][]byte{
		"doc.go":                       []byte("package a\nimport \"errors\""),
		"internal/b/one.go":            []byte("package b\nimport (\n\"fmt\"\nx \"io\"\n)"),
		"internal/b/two_windows.go":    []byte("//go:build windows\n\npackage b\nimport _ \"os\"\nimport \"fmt\""),
		"internal/b/two_test.go":       []byte("package b\nimport \"testing\""),
		"internal/b/testdata/three.go": []byte("package c\nimport \"log\""),
		"tools/four.go":                []byte("package d\nimport \"log\""),
		"README.md":                    []byte("package e"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []unit{{"", []string{"errors"}}, {"internal/b", []string{"fmt", "io", "os"}}}
	if !slices.EqualFunc(got, want, func(a, b unit) bool {
		return a.path == b.path && slices.Equal(a.imports, b.imports)
	}) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheTreeKeepsTheRule(t *testing.T) {
	t.Parallel()
	units, err := graph(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range check(units) {
		t.Error(b)
	}
}

// The check above sees direct imports. The go command has the last word on what
// customers link in the end.
func TestCustomersLinkOnlyTheStandardLibrary(t *testing.T) {
	t.Parallel()
	packages := []string{"."}
	if _, err := os.Stat(filepath.Join(root, "latchkeytest")); err == nil {
		packages = append(packages, "./latchkeytest")
	}
	args := append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)
	list := exec.CommandContext(t.Context(), "go", args...)
	list.Dir = root
	var problems bytes.Buffer
	list.Stderr = &problems
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, problems.String())
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, module) {
		t.Fatalf("go list does not name the root package: %q", out)
	}
	for _, dep := range linked {
		if dep != module && dep != module+"/latchkeytest" {
			t.Errorf("%s is linked: %s", dep, whySDKLinks)
		}
	}
}
