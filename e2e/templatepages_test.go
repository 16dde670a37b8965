package e2e

import (
	"strings"
	"testing"
)

// tell runs the commands of a page, and fails unless what they print has each text as
// often as is wanted.
func (w *world) tell(page string, blocks int, want map[string]int) {
	w.t.Helper()
	r := w.start("dev", "--addr", "127.0.0.1:0").ready
	found := shellBlocks(w.t, page)
	if len(found) != blocks {
		w.t.Fatalf("the page has other commands than this test knows: %q", found)
	}
	out := w.bash("export ISSUER=" + r.Issuer + " API=" + r.URL + "/v1/projects/" + r.Project + " KEY=" + r.ManagementKey + "\n" +
		strings.Join(found, "\necho\n"))
	for text, n := range want {
		if got := strings.Count(out, text); got != n {
			w.t.Errorf("the page's commands print %s %d times, want %d:\n%s", text, got, n, out)
		}
	}
}

// TestTemplatesPage does what docs/templates.md tells, to the letter.
func TestTemplatesPage(t *testing.T) {
	t.Parallel()
	newWorld(t).tell("templates.md", 4, map[string]int{
		`"custom":{"hello":"Hi Alice"}`: 1, // the preview
		`"percent":10`:                  1, `"comment":"greetings"`: 3, `"code"`: 0,
		`hello        "Hi Alice"`: 1, // the token
		`"Hullo"`:                 1, // before the roll-back
	})
}

// TestSignInActionsPage does what docs/sign-in-actions.md tells.
func TestSignInActionsPage(t *testing.T) {
	t.Parallel()
	newWorld(t).tell("sign-in-actions.md", 3, map[string]int{
		`"denied":{"code":"blocked","message":"Your account is blocked. Call us."}`: 1,
		`"requires":"mfa"`: 1, `"code":"insufficient_authentication"`: 1, `"sessionToken"`: 1,
	})
}

// TestWebhooksPage makes the webhook of docs/webhooks.md.
func TestWebhooksPage(t *testing.T) {
	t.Parallel()
	newWorld(t).tell("webhooks.md", 1, map[string]int{`"types":["user.*","session.ended"]`: 1, `"secret":"whsec_`: 1, `"code"`: 0})
}
