package token_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// many returns n claims of 400 characters.
func many(t testing.TB, n int) json.RawMessage {
	t.Helper()
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("x%d", i)] = strings.Repeat("x", 400)
	}
	raw, err := json.Marshal(all)
	must(t, err)
	return raw
}

// Nobody gets rid of a claim of the template by asking for so many of their own that it has
// no room.
func TestClientClaimsCrowdNothingOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	w.save(t, document.User, `{"claims":{"plan":"`+strings.Repeat("r", 400)+`"}}`)
	row := w.signIn(t).Row
	fits, err := w.ClientFits(w.ctx, w.project)
	must(t, err)
	refused := 0
	for n := 20; n < 30; n++ {
		row.NSec = many(t, n)
		err := fits(row)
		if err != nil && fault.KindOf(err) != fault.ClaimsTooLarge {
			t.Fatal(err)
		}
		set, signIn := w.trySignIn(func(in *token.SignIn) { in.NSec = row.NSec })
		if err == nil && (signIn != nil || says(t, set.Session).Plan == nil) {
			t.Errorf("%d claims are allowed, and the template's is lost: %v", n, signIn)
		}
		if err != nil {
			refused++
		}
	}
	if refused == 0 || refused == 10 {
		t.Errorf("%d were refused", refused)
	}
}

func TestExchangeCrowdsNothingOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	w.save(t, document.AccessKey, `{"claims":{"plan":"`+strings.Repeat("r", 400)+`"}}`)
	open := w.machine(t, directory.AccessKeyChange{})
	refused := 0
	for n := 20; n < 30; n++ {
		got, err := w.Exchange(w.ctx, open(), token.Exchange{NSec: many(t, n)})
		switch {
		case fault.KindOf(err) == fault.ClaimsTooLarge:
			refused++
		case err != nil:
			t.Fatal(err)
		case says(t, got.Text).Plan == nil:
			t.Errorf("with %d claims the template's is lost", n)
		}
	}
	if refused == 0 || refused == 10 {
		t.Errorf("%d were refused", refused)
	}
}
