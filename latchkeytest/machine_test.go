package latchkeytest_test

import (
	"encoding/json"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/latchkeytest"
)

func TestAccessKeys(t *testing.T) {
	i := latchkeytest.NewIssuer(t)
	v := i.Verifier()
	client := i.Client(func(c *latchkey.ClientConfig) { c.Key = "" })
	key := i.AccessKey(latchkeytest.Claims{"roles": []string{"importer"}})
	got, err := client.ExchangeAccessKey(t.Context(), latchkey.AccessKeyExchange{Key: key, Tenant: "ten_1", Claims: json.RawMessage(`{"job":"x"}`)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Verify(t.Context(), got.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	var job string
	if _, err := c.ClientClaim("job", &job); err != nil || job != "x" || c.SessionID != "" || c.Principal() != got.AccessKey || c.CurrentTenant != "ten_1" || !c.HasRole("importer") {
		t.Errorf("%+v, %q, %v", c, job, err)
	}
	i.ChangeRole("another")
	i.RollOut(0, 100) // a machine has no session
	if _, err := v.Verify(t.Context(), got.SessionToken); err != nil {
		t.Errorf("what is no business of the token: %v", err)
	}
	i.ChangeRole("importer")
	if _, err := v.Verify(t.Context(), got.SessionToken); latchkey.ReasonOf(err) != latchkey.ReasonOutdated {
		t.Errorf("after its role has changed: %v", err)
	}
	if got, err = client.ExchangeAccessKey(t.Context(), latchkey.AccessKeyExchange{Key: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), got.SessionToken); err != nil {
		t.Errorf("exchanged anew: %v", err)
	}
	i.DeleteAccessKey(key)
	if _, err := v.Verify(t.Context(), got.SessionToken); latchkey.ReasonOf(err) != latchkey.ReasonRevoked {
		t.Errorf("of a deleted key: %v", err)
	}
	if _, err := client.ExchangeAccessKey(t.Context(), latchkey.AccessKeyExchange{Key: key}); latchkey.CodeOf(err) != latchkey.CodeUnauthenticated {
		t.Errorf("a deleted key: %v", err)
	}
}

func TestRollOut(t *testing.T) {
	i := latchkeytest.NewIssuer(t)
	v := i.Verifier()
	set := i.SignIn("alice")
	share := latchkey.Share(set.Session.ID)
	i.RollOut(share+1, share+2)
	if _, err := v.Verify(t.Context(), set.SessionToken); err != nil {
		t.Errorf("another share: %v", err)
	}
	i.RollOut(share, share+1)
	if _, err := v.Verify(t.Context(), set.SessionToken); latchkey.ReasonOf(err) != latchkey.ReasonOutdated {
		t.Errorf("its own share: %v", err)
	}
}
