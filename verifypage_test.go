package latchkey

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/verify.md says of every reason what it leads to.
func TestPageOnReasons(t *testing.T) {
	page := verifyPage(t)
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .* \\| (yes|no) \\| (\\d+) `(\\w+)` \\|$").FindAllStringSubmatch(page, -1)
	if len(rows) != len(allReasons()) {
		t.Errorf("the page has %d reasons, there are %d", len(rows), len(allReasons()))
	}
	for i, reason := range allReasons() {
		refusal := refusedToken(refuseToken(reason, ""))
		refresh := map[bool]string{true: "yes", false: "no"}[reason.Refreshable()]
		want := fmt.Sprint(reason, " ", refresh, " ", refusal.Status, " ", refusal.Code)
		if i >= len(rows) || strings.Join(rows[i][1:], " ") != want {
			t.Errorf("row %d of the page isn't: %s", i+1, want)
		}
	}
	for _, challenge := range []string{challengeInvalid, challengeAuthenticate, challengeScope} {
		if !strings.Contains(page, "WWW-Authenticate: "+challenge) {
			t.Errorf("the page doesn't tell of %s", challenge)
		}
	}
}

// It also names every metric, and no other.
func TestPageOnMetrics(t *testing.T) {
	page := verifyPage(t)
	verifier, err := NewVerifier(VerifierConfig{Issuer: "https://auth.example.com/prj_1", Key: "lk_verify_example"})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := verifier.WriteMetrics(&text); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, found := range regexp.MustCompile(`# TYPE (latchkey_sdk_\w+)`).FindAllStringSubmatch(text.String(), -1) {
		written[found[1]] = true
		if !strings.Contains(page, "`"+found[1]) {
			t.Errorf("the page doesn't name %s", found[1])
		}
	}
	for _, name := range regexp.MustCompile("`(latchkey_sdk_\\w+)").FindAllStringSubmatch(page, -1) {
		if !written[name[1]] {
			t.Errorf("the page names %s, which isn't written", name[1])
		}
	}
}

func verifyPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
