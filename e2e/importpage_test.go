package e2e

import (
	"strings"
	"testing"
)

// TestImportExportPage does what docs/import-export.md tells, beside a running server.
func TestImportExportPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start("dev", "--addr", "127.0.0.1:0", "--data", w.path("one")).ready
	w.start("dev", "--addr", "127.0.0.1:0", "--data", w.path("two"))
	blocks := shellBlocks(t, "import-export.md")
	if len(blocks) != 3 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	here := strings.NewReplacer("DATA", w.path("one"), "OTHER", w.path("two"), "PROJECT", r.Project)
	for i, wants := range [][]string{
		{"This was a dry run", "user        2    0        0", "tenant      1    0        0"},
		{"exported 2 permissions, 3 roles, 2 tenants, 3 users", "project         " + r.Project, "management key  lk_mgmt_", "user        3    0        0"},
		{"is disabled", "is enabled", "is deleted"},
	} {
		out := w.bash(here.Replace(blocks[i]))
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("the page's commands don't print %q:\n%s", want, out)
			}
		}
	}
}
