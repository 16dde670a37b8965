package directory_test

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
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

var (
	somewhere = netip.MustParseAddr("198.51.100.7")
	nobody    = directory.ManagementKey{} // an operator asks, not a key
)

// counting counts the searches that reach the store of management keys, and can break it.
type counting struct {
	directory.ManagementKeyStore
	finds  int
	broken error
}

func (s *counting) FindByDigest(ctx context.Context, d secret.Digest) (directory.ManagementKey, error) {
	if s.finds++; s.broken != nil {
		return directory.ManagementKey{}, s.broken
	}
	return s.ManagementKeyStore.FindByDigest(ctx, d)
}

func (s *counting) List(ctx context.Context, p id.Project, after id.ManagementKey, limit int) ([]directory.ManagementKey, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	return s.ManagementKeyStore.List(ctx, p, after, limit)
}

func (w *world) counting() *counting {
	s := &counting{ManagementKeyStore: w.store.ManagementKeys()}
	d := w.deps()
	d.Keys = s
	w.on(d)
	return s
}

func (w *world) key(in directory.NewKey) (directory.ManagementKey, secret.Text) {
	w.t.Helper()
	if in.Name == "" {
		in.Name = "backend"
	}
	if in.Kind == "" {
		in.Kind = secret.Management
	}
	k, clear, err := w.CreateKey(w.t.Context(), w.project, in, nobody, operator)
	if err != nil {
		w.t.Fatal(err)
	}
	w.said()
	return k, clear
}

// opens reports how the secret is taken from somewhere for a scope.
func (w *world) opens(clear secret.Text, scope directory.Scope) error {
	w.t.Helper()
	_, err := w.Key(w.t.Context(), w.project, clear, somewhere, scope)
	return err
}

func TestCreateKey(t *testing.T) {
	w := newWorld(t)
	in := directory.NewKey{
		Name: "backend", Kind: secret.Management, Scopes: []directory.Scope{directory.ScopeSessions, directory.ScopeUsers},
		Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, ExpiresAt: start.Add(time.Hour),
	}
	k, clear, err := w.CreateKey(t.Context(), w.project, in, nobody, operator)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(clear.Reveal(), "lk_mgmt_") {
		t.Error("the secret doesn't start with lk_mgmt_")
	}
	want := directory.ManagementKey{
		ID: k.ID, Project: w.project, Name: in.Name, Kind: in.Kind, Scopes: in.Scopes, Networks: in.Networks,
		Digest: clear.Digest(), CreatedAt: k.ID.Time(), ExpiresAt: in.ExpiresAt,
	}
	if !reflect.DeepEqual(k, want) {
		t.Errorf("made\n%+v, want\n%+v", k, want)
	}
	found, err := w.Key(t.Context(), w.project, clear, somewhere, directory.ScopeUsers)
	if err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("found\n%+v, %v, want\n%+v", found, err, want)
	}
	e := w.expect(audit.ManagementKeyCreated)[0]
	if data := map[string]any{"key": k.ID.String(), "kind": "mgmt", "name": "backend"}; !reflect.DeepEqual(e.Data, data) {
		t.Errorf("the event says %v, want %v", e.Data, data)
	}
}

func TestNewKeyRules(t *testing.T) {
	networks := func(n int) []netip.Prefix {
		return slices.Repeat([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, n)
	}
	scopes := func(s ...directory.Scope) []directory.Scope { return s }
	for _, c := range []struct {
		what  string
		key   directory.NewKey
		wrong string // pointers; "" when it is allowed
	}{
		{"the least", directory.NewKey{Name: "a", Kind: secret.Management}, ""},
		{"no name", directory.NewKey{Kind: secret.Management}, "/name"},
		{"the longest name", directory.NewKey{Name: strings.Repeat("ä", 200), Kind: secret.Verify}, ""},
		{"a longer name", directory.NewKey{Name: strings.Repeat("a", 201), Kind: secret.Verify}, "/name"},
		{"a name over lines", directory.NewKey{Name: "a\nb", Kind: secret.Verify}, "/name"},
		{"no kind", directory.NewKey{Name: "a"}, "/kind"},
		{"another kind", directory.NewKey{Name: "a", Kind: "ak"}, "/kind"},
		{"every scope", directory.NewKey{Name: "a", Kind: secret.Management, Scopes: directory.Scopes()}, ""},
		{"another scope", directory.NewKey{Name: "a", Kind: secret.Management, Scopes: scopes("users", "root", "")}, "/scopes/1 /scopes/2"},
		{"verify", directory.NewKey{Name: "a", Kind: secret.Verify, Scopes: scopes(directory.ScopeVerify)}, ""},
		{"verify and more", directory.NewKey{Name: "a", Kind: secret.Verify, Scopes: scopes(directory.ScopeVerify, directory.ScopeUsers)}, "/scopes/1"},
		{"fifty networks", directory.NewKey{Name: "a", Kind: secret.Management, Networks: networks(50)}, ""},
		{"more networks", directory.NewKey{Name: "a", Kind: secret.Management, Networks: networks(51)}, "/networks"},
		{"over already", directory.NewKey{Name: "a", Kind: secret.Management, ExpiresAt: start}, "/expiresAt"},
		{"everything at once", directory.NewKey{Scopes: scopes("x"), Networks: networks(51), ExpiresAt: start.Add(-time.Hour)}, "/name /kind /scopes/0 /networks /expiresAt"},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			_, clear, err := w.CreateKey(t.Context(), w.project, c.key, nobody, operator)
			if c.wrong == "" {
				if err != nil || w.opens(clear, directory.ScopeVerify) != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused(t, err, fault.Invalid)
			if at(err) != c.wrong || !clear.IsZero() {
				t.Errorf("wrong is %q, want %q", at(err), c.wrong)
			}
			w.expect()
		})
	}
}

func TestScopes(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what string
		key  directory.NewKey
		may  []directory.Scope
	}{
		{"no scopes", directory.NewKey{}, directory.Scopes()},
		{"one", directory.NewKey{Scopes: []directory.Scope{directory.ScopeEvents}}, []directory.Scope{directory.ScopeEvents}},
		{"two", directory.NewKey{Scopes: []directory.Scope{directory.ScopeKeys, directory.ScopeUsers}}, []directory.Scope{directory.ScopeUsers, directory.ScopeKeys}},
		{"a verify key", directory.NewKey{Kind: secret.Verify}, []directory.Scope{directory.ScopeVerify}},
	} {
		k, clear := w.key(c.key)
		for _, scope := range directory.Scopes() {
			may := slices.Contains(c.may, scope)
			if k.May(scope) != may {
				t.Errorf("%s: may %s is %v", c.what, scope, !may)
			}
			if err := w.opens(clear, scope); may && err != nil || !may && fault.KindOf(err) != fault.Forbidden {
				t.Errorf("%s for %s: %v", c.what, scope, err)
			}
		}
		if k.May("root") != (c.what == "no scopes") {
			t.Errorf("%s: an unknown scope", c.what)
		}
	}
	// Whatever a store says of a verify key, it can do no more than verify.
	if forged := (directory.ManagementKey{Kind: secret.Verify, Scopes: directory.Scopes()}); forged.May(directory.ScopeUsers) {
		t.Error("a verify key with more scopes has them")
	}
}

func TestKeyExpires(t *testing.T) {
	w := newWorld(t)
	k, clear := w.key(directory.NewKey{ExpiresAt: start.Add(time.Hour)})
	_, endless := w.key(directory.NewKey{})
	const readings = 2 * time.Millisecond // the store's, then the service's
	w.clock.reach(k.ExpiresAt.Add(-time.Millisecond - readings))
	if err := w.opens(clear, directory.ScopeUsers); err != nil {
		t.Errorf("a millisecond before its end: %v", err)
	}
	w.clock.reach(k.ExpiresAt.Add(-readings))
	refused(t, w.opens(clear, directory.ScopeUsers), fault.Unauthenticated)
	w.clock.pass(100 * 365 * 24 * time.Hour)
	refused(t, w.opens(clear, directory.ScopeUsers), fault.Unauthenticated)
	if err := w.opens(endless, directory.ScopeUsers); err != nil {
		t.Errorf("a key without end ended: %v", err)
	}
}

func TestKeyNetworks(t *testing.T) {
	w := newWorld(t)
	_, bound := w.key(directory.NewKey{Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	_, free := w.key(directory.NewKey{})
	for address, inside := range map[string]bool{
		"198.51.100.0": true, "198.51.100.255": true, "198.51.101.0": false, "::ffff:198.51.100.9": true, "::ffff:198.51.101.9": false,
		"2001:db8::1": true, "2001:db9::1": false, "2001:db8::1%eth0": false,
	} {
		ip := netip.MustParseAddr(address)
		_, err := w.Key(t.Context(), w.project, bound, ip, directory.ScopeUsers)
		if inside && err != nil || !inside && fault.KindOf(err) != fault.Forbidden {
			t.Errorf("from %s: %v", address, err)
		}
		if _, err := w.Key(t.Context(), w.project, free, ip, directory.ScopeUsers); err != nil {
			t.Errorf("a free key from %s: %v", address, err)
		}
	}
	_, err := w.Key(t.Context(), w.project, bound, netip.Addr{}, directory.ScopeUsers)
	refused(t, err, fault.Forbidden)
}

// What can't be a key costs no search, whoever sends it.
func TestMalformedKeyNeverReachesTheStore(t *testing.T) {
	w := newWorld(t)
	_, clear := w.key(directory.NewKey{})
	store := w.counting()
	whole := clear.Reveal()
	malformed := []string{"", " ", "lk_mgmt_", "lk_", whole + "0", " " + whole, whole + "\n", strings.ToUpper(whole), strings.Replace(whole, "mgmt", "verify", 1),
		strings.Replace(whole, "mgmt", "ak", 1), strings.Repeat("lk_mgmt_", 1000)}
	for i := range whole {
		malformed = append(malformed, whole[:i], whole[:i]+string(whole[i]^1)+whole[i+1:])
	}
	for _, text := range malformed {
		err := w.opens(secret.New(text), directory.ScopeUsers)
		refused(t, err, fault.Unauthenticated)
		if text != "" && len(text) > 12 && strings.Contains(err.Error(), text) {
			t.Error("the refusal repeats what was sent")
		}
	}
	if store.finds != 0 {
		t.Errorf("%d of %d malformed keys reached the store", store.finds, len(malformed))
	}
	if err := w.opens(clear, directory.ScopeUsers); err != nil || store.finds != 1 {
		t.Errorf("the key itself: %v, %d searches", err, store.finds)
	}
}

func TestWrongKey(t *testing.T) {
	w := newWorld(t)
	own, clear := w.key(directory.NewKey{})
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	_, unknown := w.Key(t.Context(), w.project, secret.NewKey(secret.Management), somewhere, directory.ScopeUsers)
	refused(t, unknown, fault.Unauthenticated)
	_, foreign := w.Key(t.Context(), other.ID, clear, somewhere, directory.ScopeUsers)
	refused(t, foreign, fault.Unauthenticated)
	if unknown.Error() != foreign.Error() {
		t.Errorf("who holds a key of another project learns that it is one: %v, not %v", foreign, unknown)
	}
	// The kind that a secret shows must be the kind that was given.
	mislabelled := secret.NewKey(secret.Verify)
	k := directory.ManagementKey{ID: id.NewManagementKey(start), Project: w.project, Kind: secret.Management, Digest: mislabelled.Digest()}
	if err := w.store.ManagementKeys().Insert(t.Context(), k, w.event(audit.ManagementKeyCreated)); err != nil {
		t.Fatal(err)
	}
	refused(t, w.opens(mislabelled, directory.ScopeUsers), fault.Unauthenticated)

	store := w.counting()
	store.broken = errors.New("disk on fire")
	if err := w.opens(clear, directory.ScopeUsers); !errors.Is(err, store.broken) {
		t.Errorf("a broken store looks like %v", err)
	}
	if _, shown, err := w.RotateKey(t.Context(), w.project, own.ID, nobody, operator); !errors.Is(err, store.broken) || !shown.IsZero() {
		t.Errorf("a broken store rotates: %v", err)
	}
}
