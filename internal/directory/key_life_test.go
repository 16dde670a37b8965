package directory_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// A key hands out nothing that it doesn't have: otherwise whoever gets hold of one with
// the scope "keys" has all.
func TestEscalation(t *testing.T) {
	w := newWorld(t)
	scopes := func(s ...directory.Scope) directory.NewKey {
		return directory.NewKey{Name: "made", Kind: secret.Management, Scopes: s}
	}
	verify := directory.NewKey{Name: "made", Kind: secret.Verify}
	const keys, users, verifies = directory.ScopeKeys, directory.ScopeUsers, directory.ScopeVerify
	for _, c := range []struct {
		by, wanted directory.NewKey
		may        bool
	}{
		{scopes(), scopes(), true},
		{scopes(), verify, true},
		{scopes(directory.Scopes()...), scopes(), true},
		{scopes(keys), scopes(), false},
		{scopes(keys), scopes(keys), true},
		{scopes(keys), scopes(keys, users), false},
		{scopes(keys), scopes(users), false},
		{scopes(keys, users), scopes(users), true},
		{scopes(keys, users), scopes(users, keys), true},
		{scopes(keys), verify, false},
		{scopes(keys, verifies), verify, true},
		{verify, verify, true},
		{verify, scopes(), false},
		{verify, scopes(keys), false},
	} {
		by, _ := w.key(c.by)
		_, clear, err := w.CreateKey(t.Context(), w.project, c.wanted, by, operator)
		if c.may != (err == nil) || c.may == clear.IsZero() {
			t.Errorf("%s %v makes %s %v: %v", c.by.Kind, c.by.Scopes, c.wanted.Kind, c.wanted.Scopes, err)
		}
		if w.said(); err != nil {
			refused(t, err, fault.Forbidden)
		}

		// Deleting locks its owner out.
		victim, _ := w.key(c.wanted)
		err = w.DeleteKey(t.Context(), w.project, victim.ID, by, operator)
		if c.may != (err == nil) {
			t.Errorf("%s %v deletes %s %v: %v", c.by.Kind, c.by.Scopes, c.wanted.Kind, c.wanted.Scopes, err)
		}
		w.said()

		// Rotating shows a secret, too.
		old, before := w.key(c.wanted)
		_, clear, err = w.RotateKey(t.Context(), w.project, old.ID, by, operator)
		if c.may != (err == nil) || c.may == clear.IsZero() {
			t.Errorf("%s %v rotates %s %v: %v", c.by.Kind, c.by.Scopes, c.wanted.Kind, c.wanted.Scopes, err)
		}
		if err != nil {
			refused(t, err, fault.Forbidden)
			w.expect()
			scope := slices.IndexFunc(directory.Scopes(), old.May)
			if err := w.opens(before, directory.Scopes()[scope]); err != nil {
				t.Errorf("a refused rotation ended the old secret: %v", err)
			}
		}
		w.said()
	}
}

// A key that is bound to networks or runs out makes none that isn't.
func TestEscalationByNetworkAndTime(t *testing.T) {
	w := newWorld(t)
	bound := directory.NewKey{Kind: secret.Management, Name: "bound", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ExpiresAt: w.clock.now().Add(time.Hour)}
	by, _ := w.key(bound)
	for name, c := range map[string]struct {
		networks []string
		lifetime time.Duration
		may      bool
	}{
		"no longer":         {[]string{"192.0.2.0/24"}, 59 * time.Minute, true},
		"narrower, shorter": {[]string{"192.0.2.128/25", "192.0.2.1/32"}, time.Minute, true},
		"from anywhere":     {nil, time.Hour, false},
		"a wider network":   {[]string{"192.0.0.0/16"}, time.Hour, false},
		"another network":   {[]string{"192.0.2.0/24", "198.51.100.0/24"}, time.Hour, false},
		"a longer life":     {[]string{"192.0.2.0/24"}, 2 * time.Hour, false},
		"without end":       {[]string{"192.0.2.0/24"}, 0, false},
	} {
		wanted := directory.NewKey{Kind: secret.Management, Name: name}
		if c.lifetime > 0 {
			wanted.ExpiresAt = w.clock.now().Add(c.lifetime)
		}
		for _, n := range c.networks {
			wanted.Networks = append(wanted.Networks, netip.MustParsePrefix(n))
		}
		_, clear, err := w.CreateKey(t.Context(), w.project, wanted, by, operator)
		if c.may != (err == nil) || c.may == clear.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			refused(t, err, fault.Forbidden)
		}
		free, _ := w.key(wanted)
		if _, _, err = w.RotateKey(t.Context(), w.project, free.ID, by, operator); c.may != (err == nil) {
			t.Errorf("rotating %s: %v", name, err)
		}
	}
}

func TestRotateKey(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []secret.KeyKind{secret.Management, secret.Verify} {
		k, old := w.key(directory.NewKey{Kind: kind, Name: "kept"})
		changed, fresh, err := w.RotateKey(t.Context(), w.project, k.ID, nobody, operator)
		if err != nil {
			t.Fatal(err)
		}
		e := w.expect(audit.ManagementKeyRotated)[0]
		if len(e.Data) != 1 || e.Data["key"] != k.ID.String() {
			t.Errorf("the event says %v", e.Data)
		}
		if changed.ID != k.ID || changed.Name != "kept" || changed.Kind != kind || !changed.Digest.Equal(fresh.Digest()) {
			t.Errorf("became %+v", changed)
		}
		if !strings.HasPrefix(fresh.Reveal(), "lk_"+string(kind)+"_") || fresh.Equal(old) {
			t.Error("the new secret isn't a new one of the kind")
		}
		if err := w.opens(fresh, directory.ScopeVerify); err != nil {
			t.Errorf("the new secret: %v", err)
		}
		refused(t, w.opens(old, directory.ScopeVerify), fault.Unauthenticated)
	}
}

// Whoever holds a key may end it, whatever it may do.
func TestDeleteKeyOfOnesOwn(t *testing.T) {
	w := newWorld(t)
	k, clear := w.key(directory.NewKey{Kind: secret.Management, Name: "mine", Scopes: []directory.Scope{directory.ScopeKeys}})
	if err := w.DeleteKey(t.Context(), w.project, k.ID, k, operator); err != nil {
		t.Fatal(err)
	}
	refused(t, w.opens(clear, directory.ScopeKeys), fault.Unauthenticated)
}

func TestDeleteKey(t *testing.T) {
	w := newWorld(t)
	k, clear := w.key(directory.NewKey{})
	_, kept := w.key(directory.NewKey{})
	if err := w.DeleteKey(t.Context(), w.project, k.ID, nobody, operator); err != nil {
		t.Fatal(err)
	}
	if e := w.expect(audit.ManagementKeyDeleted)[0]; e.Data["key"] != k.ID.String() {
		t.Errorf("the event says %v", e.Data)
	}
	refused(t, w.opens(clear, directory.ScopeUsers), fault.Unauthenticated)
	if err := w.opens(kept, directory.ScopeUsers); err != nil {
		t.Errorf("another key went with it: %v", err)
	}
	refused(t, w.DeleteKey(t.Context(), w.project, k.ID, nobody, operator), fault.NotFound)
	_, _, err := w.RotateKey(t.Context(), w.project, k.ID, nobody, operator)
	refused(t, err, fault.NotFound)
	w.expect()
}

func TestKeysOfAnotherProject(t *testing.T) {
	w := newWorld(t)
	k, clear := w.key(directory.NewKey{})
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.DeleteKey(t.Context(), other.ID, k.ID, nobody, operator), fault.NotFound)
	_, _, err = w.RotateKey(t.Context(), other.ID, k.ID, nobody, operator)
	refused(t, err, fault.NotFound)
	if page, err := w.Keys(t.Context(), other.ID, id.ManagementKey{}, 10); err != nil || len(page) != 0 {
		t.Errorf("lists %v, %v", page, err)
	}
	if err := w.opens(clear, directory.ScopeUsers); err != nil {
		t.Error(err)
	}
	_, _, err = w.CreateKey(t.Context(), id.NewProject(start), directory.NewKey{Name: "a", Kind: secret.Management}, nobody, operator)
	refused(t, err, fault.NotFound)
}

// A project with more keys than a page of the store: the last one is found, too.
func TestManyKeys(t *testing.T) {
	w := newWorld(t)
	const many = 401
	var want, got []id.ManagementKey
	for range many {
		k, _ := w.key(directory.NewKey{})
		want = append(want, k.ID)
	}
	for after := (id.ManagementKey{}); len(got) < many; {
		page, err := w.Keys(t.Context(), w.project, after, 150)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d keys, then %v", len(got), err)
		}
		for _, k := range page {
			got, after = append(got, k.ID), k.ID
		}
	}
	if !slices.Equal(got, want) {
		t.Error("the pages don't hold every key once, in order")
	}
	for _, i := range []int{0, 199, 200, 399, 400} {
		if k, _, err := w.RotateKey(t.Context(), w.project, want[i], nobody, operator); err != nil || k.ID != want[i] {
			t.Errorf("rotating key %d: %v, %v", i, k.ID, err)
		}
	}
	_, _, err := w.RotateKey(t.Context(), w.project, id.NewManagementKey(start), nobody, operator)
	refused(t, err, fault.NotFound)
}
