package e2e

import (
	"strings"
	"testing"
)

// TestImportExportPage does what docs/import-export.md tells, beside a running server. The
// project has an access key, which moves with it and stays out of the copy.
func TestImportExportPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.start("dev", "--addr", "127.0.0.1:0", "--data", w.path("one"))
	w.start("dev", "--addr", "127.0.0.1:0", "--data", w.path("two"))
	r := one.ready
	one.ask(call{method: "POST", path: "/v1/projects/" + r.Project + "/access-keys", bearer: r.ManagementKey,
		body: map[string]any{"name": "nightly"}}).must(t, nil)
	blocks := shellBlocks(t, "import-export.md")
	pages := [][]string{
		{"This was a dry run", "user        2    0        0", "tenant      1    0        0"},
		{"exported 2 permissions, 3 roles, 2 tenants, 3 users, 1 accessKey", "project         " + r.Project, "management key  lk_mgmt_",
			"user        3    0        0", "accessKey   1    0        0"},
		{"importing into the new project prj_", "management key  lk_mgmt_", "user        3    0        0"},
		{"is disabled", "is enabled", "is deleted"},
	}
	if len(blocks) != len(pages) {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	here := strings.NewReplacer("DATA", w.path("one"), "OTHER", w.path("two"), "PROJECT", r.Project)
	for i, wants := range pages {
		out := w.bash(here.Replace(blocks[i]))
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("the page's commands don't print %q:\n%s", want, out)
			}
		}
	}
}
