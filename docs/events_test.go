package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
)

// The page tells of every type of event, once, in the order of the vocabulary.
func TestEventsPage(t *testing.T) {
	page := read(t, "events.md")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\| ([^|]*) \\| ([^|]*)\\|$").FindAllStringSubmatch(page, -1) {
		told = append(told, row[1])
		if !strings.HasSuffix(strings.TrimSpace(row[2]), ".") {
			t.Errorf("docs/events.md has no sentence about %s", row[1])
		}
	}
	var types []string
	for _, typ := range audit.Types() {
		types = append(types, string(typ))
	}
	slices.Sort(told)
	slices.Sort(types)
	if !slices.Equal(told, types) {
		for _, typ := range types {
			if !slices.Contains(told, typ) {
				t.Errorf("docs/events.md doesn't tell of %s", typ)
			}
		}
		t.Errorf("docs/events.md tells of\n%q, there are\n%q", told, types)
	}
}

// Every member of an event's data that the code writes by name is on the page.
func TestEventsPageNamesData(t *testing.T) {
	page := read(t, "events.md")
	member := regexp.MustCompile(`\.?With\("([A-Za-z]+)", `)
	found := 0
	err := filepath.WalkDir("../internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
			return err
		}
		for _, m := range member.FindAllStringSubmatch(read(t, path), -1) {
			found++
			if !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("docs/events.md doesn't tell of %s, which %s writes", m[1], path)
			}
		}
		return nil
	})
	if err != nil || found < 40 {
		t.Errorf("%d members were found: %v", found, err)
	}
}
