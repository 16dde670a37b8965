package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// mostCookie is what a browser keeps of name and value together: see TestFactSize.
const mostCookie = 4096

// padded are claims that take so many bytes more.
func padded(bytes int) json.RawMessage {
	members := map[string]string{}
	for n := 0; n < 10; n++ { // always as many members, so that a byte more is a byte more
		part := bytes / (10 - n)
		members[fmt.Sprint("pad", n)] = strings.Repeat("x", part)
		bytes -= part
	}
	b, _ := json.Marshal(members) // strings are always encoded
	return b
}

// sizes signs a user in with so many bytes of claims. It returns name and value of the
// cookie of the session token and how long they are together, or the refusal.
func (d *delivered) sizes(named string, bytes int) (set latchkey.TokenSet, size int, err error) {
	set, err = d.client.CreateSession(d.w.t.Context(), latchkey.SignInRequest{
		User: latchkey.UserNamed(email), AMR: []string{"pwd"}, Claims: padded(bytes),
	})
	for _, line := range set.SetCookie {
		pair, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(pair, "="); name == named {
			size = len(name) + len(value)
		}
	}
	return set, size, err
}

// exactly looks for a number of bytes of claims whose cookie has just the size that
// browsers keep, while one byte more makes it one byte larger. Base64 has lengths that no
// number of bytes gives, so not every name of the cookie has one.
func (d *delivered) exactly() (named string, bytes int) {
	d.w.t.Helper()
	for _, bare := range []string{"D", "DS", "DSS", "DSSS"} {
		d.set(latchkey.SettingsPatch{"cookies": map[string]any{"sessionName": bare}, "claimsInRefreshToken": false})
		name := "__Secure-" + bare
		low, high := 1000, 4000 // the largest that is delivered is between them
		for high-low > 1 {
			middle := (low + high) / 2
			if _, _, err := d.sizes(name, middle); err == nil {
				low = middle
			} else {
				high = middle
			}
		}
		_, size, err := d.sizes(name, low)
		if err != nil {
			d.w.t.Fatal(err)
		}
		_, before, err := d.sizes(name, low-1)
		if err != nil {
			d.w.t.Fatal(err)
		}
		if size == mostCookie && before < size {
			if _, _, err := d.sizes(name, low+1); strings.Contains(fmt.Sprint(err), fmt.Sprint(mostCookie+1)) {
				return name, low
			}
		}
	}
	d.w.t.Fatal("no session has a cookie of the size that browsers keep, with a next one of a byte more")
	return "", 0
}

// TestAttack36BudgetIsTheBrowsers: the largest cookie that the server delivers is the
// largest that a browser keeps, and sends. A byte more, which the browser would drop
// without a sign to anybody, is refused where the claims are set, with their sizes.
func TestAttack36BudgetIsTheBrowsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.atCustomDomain()
	named, bytes := d.exactly()

	set, size, err := d.sizes(named, bytes)
	if err != nil || size != mostCookie {
		t.Fatalf("a cookie of %d bytes: %v", size, err)
	}
	w.site(d.app, sets(set.SetCookie...))
	p := w.profile()
	b := p.tab()
	if refused := b.refusals(d.app); len(refused) != 0 {
		t.Errorf("the browser refuses %v", refused)
	}
	if kept := p.cookie(named); kept == nil || kept.Size != mostCookie {
		t.Fatalf("the browser keeps %+v", kept)
	}
	w.site(d.app, page("", nil))
	b.open(d.app)
	got := b.fetch(d.api+"/session", call("GET"))
	if got.Status != http.StatusOK || !strings.Contains(got.Body, set.Session.ID) {
		t.Errorf("with this cookie the page asks for its session and gets %d %s", got.Status, got.Body)
	}

	_, size, err = d.sizes(named, bytes+1)
	var refusal *latchkey.Error
	if !errors.As(err, &refusal) || refusal.Code != latchkey.CodeClaimsTooLarge || size != 0 {
		t.Fatalf("a byte more: a cookie of %d bytes, %v", size, err)
	}
	if !strings.Contains(refusal.Detail, fmt.Sprint(mostCookie+1)) || len(refusal.Errors) < 10 {
		t.Errorf("the refusal doesn't say by how much, or which claims take the room: %s %v", refusal.Detail, refusal.Errors)
	}
	patch := latchkey.ClaimsPatch{Claims: padded(bytes + 1)}
	if _, err := d.client.UpdateSessionClaims(t.Context(), set.Session.ID, patch); latchkey.CodeOf(err) != latchkey.CodeClaimsTooLarge {
		t.Errorf("a byte more in a session that lives: %v", err)
	}
}
