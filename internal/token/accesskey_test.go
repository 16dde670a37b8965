package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// machine makes an access key and returns what opens it.
func (w *world) machine(t testing.TB, c directory.AccessKeyChange) func() directory.Opened {
	t.Helper()
	c.Name = new("importer")
	_, clear, err := w.directory.CreateAccessKey(w.ctx, w.project, id.User{}, c, nil, audit.Origin{Actor: audit.CLI})
	must(t, err)
	return func() directory.Opened {
		t.Helper()
		opened, err := w.directory.OpenAccessKey(w.ctx, w.project, clear, netip.MustParseAddr("192.0.2.1"), func() error { return nil })
		must(t, err)
		return opened
	}
}

// exchanged returns the claims of a token of the machine, as they are written and as the
// SDK reads them.
func (w *world) exchanged(t testing.TB, o directory.Opened, in token.Exchange) (map[string]any, *latchkey.Claims) {
	t.Helper()
	got, err := w.Exchange(w.ctx, o, in)
	must(t, err)
	c, err := w.sdk(t).Verify(w.ctx, got.Text.Reveal())
	must(t, err)
	var raw map[string]any
	claimsInto(t, got.Text, &raw)
	if c.Epoch != o.At.UnixMilli() || !c.ExpiresAt.Equal(got.ExpiresAt) {
		t.Errorf("the token is of %d and ends at %v, want %d and %v", c.Epoch, c.ExpiresAt, o.At.UnixMilli(), got.ExpiresAt)
	}
	return raw, c
}

// A template for access keys makes their claims; what was given to the key itself wins, and
// whatever is in sub, the key is known.
func TestAccessKeyTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	tenant := w.newTenant(t, "ACME")
	w.newRole(t, tenant, "owner", "write")
	open := w.machine(t, directory.AccessKeyChange{
		Claims: json.RawMessage(`{"team":"data"}`), Attributes: json.RawMessage(`{"cost":7}`),
		GrantChange: directory.GrantChange{Tenants: &[]directory.MembershipChange{{Tenant: tenant.String(), Roles: []string{"owner"}}}},
	})
	w.save(t, document.AccessKey, `{"claims":{"cost":"{{ key.attributes.cost }}","team":"nobody's","at":"{{ tenant.name }}"},"audience":["https://{{ key.name }}.example.com"],
		"subject":"machine {{ key.name }}","authorization":"currentTenant"}`)
	o := open()
	raw, c := w.exchanged(t, o, token.Exchange{NSec: json.RawMessage(`{"cost":0,"sub":"x"}`)})
	want := map[string]any{"cost": 7.0, "team": "data", "at": "ACME", "sub": "machine importer", "dsub": o.Key.ID.String(), "client_id": o.Key.ID.String(), "dct": tenant.String()}
	for name, value := range want {
		if !reflect.DeepEqual(raw[name], value) {
			t.Errorf("%s is %v, want %v", name, raw[name], value)
		}
	}
	if c.Principal() != o.Key.ID.String() || !c.HasPermission("write") || len(c.Audience) != 2 || c.Audience[1] != "https://importer.example.com" {
		t.Errorf("%+v", c)
	}
	w.save(t, document.AccessKey, `{"authorization":"none"}`)
	if _, c := w.exchanged(t, open(), token.Exchange{}); len(c.Tenants) != 0 || c.CurrentTenant != tenant.String() || c.Subject != o.Key.ID.String() {
		t.Errorf("%+v", c)
	}
}

// A template that fails at an exchange leaves its claim out, and an event says so.
func TestAccessKeyTemplateThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	open := w.machine(t, directory.AccessKeyChange{Attributes: json.RawMessage(`{"n":"text"}`)})
	w.save(t, document.AccessKey, `{"claims":{"sum":"{{ key.attributes.n + 1 }}","name":"{{ key.name }}"},"subject":"{{ key.attributes.n + 1 }}"}`)
	raw, c := w.exchanged(t, open(), token.Exchange{})
	if _, there := raw["sum"]; there || raw["name"] != "importer" || c.Subject != c.Principal() || c.DirectorySubject != "" {
		t.Errorf("%v", raw)
	}
	if events := w.told(t, audit.TemplateFailed); len(events) != 2 || events[0].Data["kind"] != "accessKey" {
		t.Errorf("%+v", events)
	}
}

// Attack: whatever a machine asks for stays in nsec, and no claim of the key or of nsec
// changes what the server says itself.
func TestExchangeNeverLiftsClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	open := w.machine(t, directory.AccessKeyChange{Claims: json.RawMessage(`{"team":"data"}`)})
	o := open()
	plain, _ := w.exchanged(t, o, token.Exchange{})
	names := []string{"sub", "roles", "permissions", "tenants", "dct", "act", "su", "dsub", "sid", "team", "nsec", "aud", "exp", "epc", "client_id", "x", "SUB", "ſub"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		asked := map[string]any{}
		for range 1 + r.IntN(6) {
			asked[names[r.IntN(len(names))]] = []any{"admin", true, 1.0, map[string]any{"roles": []any{"admin"}}}[r.IntN(4)]
		}
		nsec, err := json.Marshal(asked)
		must(t, err)
		raw, _ := w.exchanged(t, o, token.Exchange{NSec: nsec})
		if !reflect.DeepEqual(raw["nsec"], any(asked)) {
			t.Fatalf("nsec is %v, want %v", raw["nsec"], asked)
		}
		delete(raw, "nsec")
		raw["jti"] = plain["jti"]
		if !reflect.DeepEqual(raw, plain) {
			t.Fatalf("%s made %v of %v", nsec, raw, plain)
		}
	}
}

// A token never outlives its key, nor says that it is newer than what it shows.
func TestExchangeTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"accessKeyTokenTTL":"1h"}`)
	end := w.clock.Now().Add(10*time.Minute + 500*time.Millisecond)
	short, long := w.machine(t, directory.AccessKeyChange{ExpiresAt: &end}), w.machine(t, directory.AccessKeyChange{})
	for name, c := range map[string]struct {
		open func() directory.Opened
		want time.Duration
	}{"by its key": {short, 10 * time.Minute}, "by accessKeyTokenTTL": {long, time.Hour}} {
		_, claims := w.exchanged(t, c.open(), token.Exchange{})
		if got := claims.ExpiresAt.Sub(claims.IssuedAt); got != c.want {
			t.Errorf("%s: it lives %v, want %v", name, got, c.want)
		}
	}
	w.clock.Move(-time.Minute) // the clock is set back
	o := long()
	got, err := w.Exchange(w.ctx, o, token.Exchange{})
	must(t, err)
	var said struct{ Iat, Epc int64 }
	claimsInto(t, got.Text, &said)
	if said.Iat != o.At.Unix() || said.Epc != o.At.Add(o.Behind).UnixMilli() || o.Behind < time.Minute {
		t.Errorf("%+v, opened at %v, %v behind", said, o.At, o.Behind)
	}
}

// Grants that don't fit never keep a machine from its token.
func TestExchangeOfVeryManyGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	var many []directory.MembershipChange
	for n := range 50 {
		tenant := w.newTenant(t, fmt.Sprint("tenant ", n))
		var permissions []string
		for p := range 10 {
			permissions = append(permissions, fmt.Sprintf("p%d %s", p, strings.Repeat("x", 50)))
		}
		w.newRole(t, tenant, "owner", permissions...)
		many = append(many, directory.MembershipChange{Tenant: tenant.String(), Roles: []string{"owner"}})
	}
	open := w.machine(t, directory.AccessKeyChange{GrantChange: directory.GrantChange{Tenants: &many}})
	current, err := id.ParseTenant(many[7].Tenant)
	must(t, err)
	_, c := w.exchanged(t, open(), token.Exchange{Tenant: current})
	if _, there := c.Tenants[current.String()]; !there || len(c.Tenants) != 1 {
		t.Errorf("%d tenants are left", len(c.Tenants))
	}
}

// A template for access keys has to fit into the largest keys that there are, not only into
// the sample: those with the longest claims, attributes and grants.
func TestTheLargestAccessKeyDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"maxSessionsPerUser":5}`)
	claims := func(name string, n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"%s%02d":"%s"`, name, i, strings.Repeat("x", 480)))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	var roles []string
	for i := range 30 {
		name := fmt.Sprintf("%02d%s", i, strings.Repeat("r", 58))
		w.newRole(t, id.Tenant{}, name)
		roles = append(roles, name)
	}
	fixed := json.RawMessage(`{"claims":` + claims("d", 16) + `}`)
	ask := json.RawMessage(`{"claims":{"a":"{{ key.attributes.a }}","b":"{{ key.attributes.b }}","e":"{{ key.attributes.a }}","f":"{{ key.attributes.b }}",` + claims("d", 22)[1:] + `}`)
	long := func(n int) json.RawMessage {
		return json.RawMessage(`{"a":"` + strings.Repeat("x", n) + `","b":"` + strings.Repeat("x", n) + `"}`)
	}
	for name, c := range map[string]struct {
		document json.RawMessage
		key      directory.AccessKeyChange
	}{
		"claims":     {fixed, directory.AccessKeyChange{Claims: json.RawMessage(claims("k", 12))}},
		"attributes": {ask, directory.AccessKeyChange{Attributes: long(490)}},
		"grants":     {json.RawMessage(`{"claims":` + claims("d", 22) + `}`), directory.AccessKeyChange{GrantChange: directory.GrantChange{Roles: &roles}}},
	} {
		t.Run(name, func(t *testing.T) {
			check := func() error { return w.CheckDocument(w.ctx, w.project, document.AccessKey, c.document, nil) }
			must(t, check())
			k := w.machine(t, c.key)().Key
			for range 30 {
				w.machine(t, directory.AccessKeyChange{})
			}
			err := check()
			if fault.KindOf(err) != fault.ClaimsTooLarge || !strings.Contains(err.Error(), k.ID.String()) {
				t.Fatalf("which key it is isn't said: %v", err)
			}
			// What leaves roles and permissions out, and says little, fits.
			must(t, w.CheckDocument(w.ctx, w.project, document.AccessKey, json.RawMessage(`{"claims":{"x":1},"authorization":"none"}`), nil))
			must(t, w.directory.DeleteAccessKey(w.ctx, w.project, k.ID, audit.Origin{Actor: audit.CLI}))
			must(t, check())
		})
	}
	// What makes the token of a key too long is told: the claim's own bytes.
	w.machine(t, directory.AccessKeyChange{Claims: json.RawMessage(claims("k", 12))})
	var f *fault.Error
	if err := w.CheckDocument(w.ctx, w.project, document.AccessKey, fixed, nil); !errors.As(err, &f) || len(f.Fields) < 12 || f.Fields[0].Code != "size" {
		t.Errorf("%v", err)
	}
	// A key whose claims the project keeps out of tokens isn't the template's fault, one
	// that the template makes is.
	w.machine(t, directory.AccessKeyChange{Claims: json.RawMessage(`{"mail":"a@example.com"}`), Attributes: json.RawMessage(`{"mail":"b@example.com"}`)})
	w.settings(t, `{"claimLint":"reject"}`)
	must(t, w.CheckDocument(w.ctx, w.project, document.AccessKey, json.RawMessage(`{"claims":{"mail":"{{ key.attributes.?mail }}"}}`), nil))
	if err := w.CheckDocument(w.ctx, w.project, document.AccessKey, json.RawMessage(`{"claims":{"post":"{{ key.attributes.?mail }}"}}`), nil); !claim.Rejected(err) {
		t.Errorf("%v", err)
	}
}

// A template that says much of the tenant is tried out in the fullest one.
func TestAccessKeysAreTriedInTheFullestTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{}`)
	var memberships []directory.MembershipChange
	for i := range 5 {
		tenant := w.newTenant(t, fmt.Sprint("T", i))
		if i == 3 {
			_, err := w.directory.ChangeTenant(w.ctx, w.project, tenant, directory.TenantChange{Attributes: json.RawMessage(`{"about":"` + strings.Repeat("x", 480) + `"}`)}, audit.Origin{Actor: audit.CLI})
			must(t, err)
		}
		memberships = append(memberships, directory.MembershipChange{Tenant: tenant.String()})
	}
	var list []string
	for i := range 24 {
		list = append(list, fmt.Sprintf(`"c%02d":"{{ tenant.attributes.about }}"`, i))
	}
	doc := json.RawMessage(`{"claims":{` + strings.Join(list, ",") + `}}`)
	must(t, w.CheckDocument(w.ctx, w.project, document.AccessKey, doc, nil))
	k := w.machine(t, directory.AccessKeyChange{GrantChange: directory.GrantChange{Tenants: &memberships}})().Key
	if err := w.CheckDocument(w.ctx, w.project, document.AccessKey, doc, nil); fault.KindOf(err) != fault.ClaimsTooLarge || !strings.Contains(err.Error(), k.ID.String()) {
		t.Errorf("%v", err)
	}
}
