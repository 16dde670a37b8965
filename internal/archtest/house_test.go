package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const mostLines = 600

// tooLong lists the Go files that nobody reads in one sitting.
func tooLong(files map[string][]byte) []string {
	var found []string
	for name, content := range files {
		if lines := bytes.Count(content, []byte("\n")); strings.HasSuffix(name, ".go") && lines >= mostLines {
			found = append(found, fmt.Sprintf("%s has %d lines, the limit is %d: split it by what it does", name, lines, mostLines))
		}
	}
	return found
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("\n"), mostLines)
	if got := tooLong(map[string][]byte{"a.go": long, "b.go": long[1:], "c.md": long}); len(got) != 1 {
		t.Fatalf("the check finds %q, want a.go alone", got)
	}
	for _, problem := range tooLong(tree(t)) {
		t.Error(problem)
	}
}

// outward returns what would point out of the repository to a place that no reader
// has. The words are put together here so that this file does not hold them.
func outward() []string { return []string{"../" + "shared", "/" + "work/"} }

func pointsOutward(files map[string][]byte) []string {
	var found []string
	for name, content := range files {
		for _, word := range outward() {
			if bytes.Contains(content, []byte(word)) {
				found = append(found, fmt.Sprintf("%s mentions %s, which exists on no reader's machine", name, word))
			}
		}
	}
	return found
}

func TestNothingPointsOutOfTheRepository(t *testing.T) {
	t.Parallel()
	for _, word := range outward() {
		if got := pointsOutward(map[string][]byte{"a.md": []byte("see " + word + "x"), "b.md": []byte("see docs/")}); len(got) != 1 {
			t.Fatalf("the check finds %q for %q, want a.md alone", got, word)
		}
	}
	for _, problem := range pointsOutward(tree(t)) {
		t.Error(problem)
	}
}

// vague returns names that say nothing of what a package owns, so that anything ends
// up in it.
func vague() []string {
	return []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "impl", "types", "models", "pkg", "mocks"}
}

// unintroduced lists the packages without a comment that says what they own, and those
// with a vague name. A folder of tests alone is introduced by one of its tests.
func unintroduced(files map[string][]byte) ([]string, error) {
	introduced := map[string]bool{}
	var found []string
	for name, content := range goFiles(files) {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, content, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		at := folder(name)
		introduced[at] = introduced[at] || introduces(parsed)
		if slices.Contains(vague(), parsed.Name.Name) {
			found = append(found, fmt.Sprintf("%s: package %s says nothing of what it owns", name, parsed.Name.Name))
		}
	}
	for at, ok := range introduced {
		if !ok {
			found = append(found, fmt.Sprintf("package %q has no comment that begins with \"Package\" or \"Command\" and its name, and says what it owns", at))
		}
	}
	return found, nil
}

// introduces reports whether the file has a package comment in the form that Go's
// documentation tools expect.
func introduces(file *ast.File) bool {
	word := "Package " + file.Name.Name + " "
	if file.Name.Name == "main" {
		word = "Command "
	}
	return strings.HasPrefix(file.Doc.Text(), word)
}

func TestPackagesAreIntroduced(t *testing.T) {
	t.Parallel()
	made := map[string][]byte{
		"internal/a/a.go":       []byte("// Package a owns it.\npackage a"),
		"internal/a/more.go":    []byte("package a"),
		"internal/b/b.go":       []byte("package b"),
		"internal/c/c.go":       []byte("// package c owns it.\npackage c"),
		"internal/d/d_test.go":  []byte("// Package d_test tries it.\npackage d_test"),
		"internal/e/e_test.go":  []byte("package e_test"),
		"internal/util/util.go": []byte("// Package util has things.\npackage util"),
		"cmd/f/main.go":         []byte("// Command f runs.\npackage main"),
	}
	got, err := unintroduced(made)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if len(got) != 4 || !strings.HasPrefix(got[0], "internal/util") || !strings.Contains(got[1], "internal/b") ||
		!strings.Contains(got[2], "internal/c") || !strings.Contains(got[3], "internal/e") {
		t.Fatalf("the check finds %q, want internal/util, b, c and e", got)
	}

	problems, err := unintroduced(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// stamped finds in a Makefile the variable of package main that the linker is to set.
var stamped = regexp.MustCompile(`-X main\.(\w+)=`)

// declares reports whether a file of package main under cmd/latchkey has the variable
// at its top level. The linker sets variables only, never constants.
func declares(files map[string][]byte, variable string) (bool, error) {
	for name, content := range goFiles(files) {
		if folder(name) != "cmd/latchkey" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, content, parser.SkipObjectResolution)
		if err != nil {
			return false, err
		}
		for _, d := range parsed.Decls {
			if general, ok := d.(*ast.GenDecl); ok && general.Tok == token.VAR && slices.Contains(variables(general), variable) {
				return true, nil
			}
		}
	}
	return false, nil
}

func variables(d *ast.GenDecl) []string {
	var names []string
	for _, spec := range d.Specs {
		if value, ok := spec.(*ast.ValueSpec); ok {
			for _, n := range value.Names {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// The linker says nothing when the variable that it is to set does not exist, and the
// binary would not know its version.
func TestTheVersionIsStamped(t *testing.T) {
	t.Parallel()
	made := map[string][]byte{
		"cmd/latchkey/main.go":   []byte("package main\nvar (\n\tversion = \"\"\n)\nconst fixed = \"\"\nfunc f() { var local string; _ = local }"),
		"cmd/latchkey/x_test.go": []byte("package main\nvar tested string"),
		"internal/id/id.go":      []byte("package id\nvar other string"),
	}
	for variable, want := range map[string]bool{"version": true, "fixed": false, "local": false, "tested": false, "other": false} {
		if got, err := declares(made, variable); err != nil || got != want {
			t.Fatalf("%s: got %v, %v, want %v", variable, got, err, want)
		}
	}

	files := tree(t)
	found := stamped.FindSubmatch(files["Makefile"])
	if found == nil {
		t.Fatal("the Makefile stamps no version into package main")
	}
	ok, err := declares(files, string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Errorf("the Makefile stamps main.%s, but cmd/latchkey has no such variable", found[1])
	}
}
