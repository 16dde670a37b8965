package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages returns the text of every page by its path, as seen from the folder docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "errors/*.md", "../*.md", "../examples/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			found[name] = read(t, name)
		}
	}
	if len(found) < 35 {
		t.Fatalf("only %d pages were found", len(found))
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns what pages show in a language.
func blocks(text, language string) []string {
	var found []string
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		found = append(found, block[1])
	}
	return found
}

// Whatever Go code a page shows is in a program or an example that a test runs, line by
// line and in this order. Lines may be left out, such as what is done about an error.
func TestGoOnPagesIsRun(t *testing.T) {
	var sources [][]string
	for _, folder := range []string{"..", "../vault", "../latchkeytest", "../examples"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path != folder && folder != "../examples":
				return fs.SkipDir
			case strings.HasSuffix(path, "_test.go"), folder == "../examples" && strings.HasSuffix(path, ".go"):
				sources = append(sources, lines(read(t, path)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	shown := 0
	for name, text := range pages(t) {
		for _, block := range blocks(text, "go") {
			shown++
			if !slices.ContainsFunc(sources, func(source []string) bool { return holds(source, lines(block)) }) {
				t.Errorf("%s shows code that no test runs:\n%s", name, block)
			}
		}
	}
	if shown < 8 {
		t.Errorf("only %d pieces of code were found", shown)
	}
}

// JavaScript on a page is in the program that the end-to-end tests run. How that gets
// the library differs: it has to run on old versions of Node.js, too.
func TestJavaScriptOnPagesIsRun(t *testing.T) {
	source := lines(read(t, "../e2e/verify.mjs"))
	shown := blocks(read(t, "verify.md"), "js")
	if len(shown) != 1 {
		t.Fatalf("docs/verify.md shows %d programs, want one", len(shown))
	}
	program, ok := strings.CutPrefix(shown[0], "import { createRemoteJWKSet, jwtVerify } from 'jose'\n")
	if !ok || !holds(source, lines(program)) {
		t.Errorf("docs/verify.md shows code that no test runs:\n%s", shown[0])
	}
}

// lines returns the lines of a text that aren't empty, without what indents them and how
// comments are lined up.
func lines(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// holds reports whether all lines are in source, in their order.
func holds(source, lines []string) bool {
	for _, line := range source {
		if len(lines) > 0 && line == lines[0] {
			lines = lines[1:]
		}
	}
	return len(lines) == 0
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	code    = regexp.MustCompile("(?s)```.*?```")
	dropped = regexp.MustCompile(`[^\p{L}\p{N}\s_-]`)
)

// anchors returns what links can point to on a page, as GitHub makes them.
func anchors(text string) []string {
	var found []string
	for _, h := range heading.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
		found = append(found, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return found
}

func TestLinks(t *testing.T) {
	all := pages(t)
	for name, text := range all {
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			if strings.Contains(found[1], "://") || strings.HasPrefix(found[1], "mailto:") {
				continue
			}
			path, anchor, _ := strings.Cut(found[1], "#")
			target := filepath.Clean(filepath.Join(filepath.Dir(name), path))
			if path == "" {
				target = name
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s points to %s, which isn't there", name, found[1])
			} else if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s points to %s, a heading that isn't there", name, found[1])
			}
		}
	}
}

// The index leads to every page.
func TestIndex(t *testing.T) {
	index := read(t, "README.md")
	for name := range pages(t) {
		if filepath.Dir(name) == "." && name != "README.md" && !strings.Contains(index, "]("+name) {
			t.Errorf("docs/README.md doesn't list %s", name)
		}
	}
}
