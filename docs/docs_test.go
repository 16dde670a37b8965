package docs_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/docs"
)

func TestError(t *testing.T) {
	page, found := docs.Error("token_reuse")
	if !found || !strings.HasPrefix(string(page), "# token_reuse\n") {
		t.Errorf("got %q, %v, want the page about token_reuse", page, found)
	}
	for _, code := range []string{"", "no_such_code", "../docs", "../errors/token_reuse", "/token_reuse", "token_reuse.md", "token\x00reuse"} {
		if page, found := docs.Error(code); found {
			t.Errorf("%q: got %q, want nothing", code, page)
		}
	}
}
