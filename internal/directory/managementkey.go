package directory

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// maxNetworks bounds the networks of a management key.
const maxNetworks = 50

// May reports whether the key has a scope.
func (k ManagementKey) May(scope Scope) bool {
	if k.Kind == secret.Verify {
		return scope == ScopeVerify
	}
	return len(k.Scopes) == 0 || slices.Contains(k.Scopes, scope)
}

// covers refuses that a key hands out what it doesn't have itself: a scope, a network
// to be used from, or a longer life.
func (k ManagementKey) covers(other ManagementKey) error {
	if k.ID.IsZero() {
		return nil
	}
	for _, scope := range Scopes() {
		if other.May(scope) && !k.May(scope) {
			return fault.New(fault.Forbidden, "The management key lacks the scope %q itself.", scope)
		}
	}
	if len(k.Networks) > 0 && (len(other.Networks) == 0 || slices.ContainsFunc(other.Networks, k.outside)) {
		return fault.New(fault.Forbidden, "The management key may only be used from some networks itself; name networks within them.")
	}
	if !k.ExpiresAt.IsZero() && (other.ExpiresAt.IsZero() || other.ExpiresAt.After(k.ExpiresAt)) {
		return fault.New(fault.Forbidden, "The management key expires at %s itself; give an earlier expiry.", k.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

// outside reports whether a network isn't part of one that the key may be used from.
func (k ManagementKey) outside(n netip.Prefix) bool {
	return !slices.ContainsFunc(k.Networks, func(own netip.Prefix) bool { return own.Bits() <= n.Bits() && own.Contains(n.Addr()) })
}

func (k ManagementKey) admits(ip netip.Addr) bool { return admitted(k.Networks, ip) }

// admitted reports whether an address is in one of the networks; without any, all are.
func admitted(networks []netip.Prefix, ip netip.Addr) bool {
	return len(networks) == 0 || slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) })
}

func (n NewKey) check(now time.Time) error {
	var bad []fault.Field
	if n.Name == "" || !plain(n.Name, maxName) {
		bad = append(bad, fault.Field{Pointer: "/name", Code: "format", Detail: "A name of 1 to 200 characters is wanted."})
	}
	if n.Kind != secret.Management && n.Kind != secret.Verify {
		bad = append(bad, fault.Field{Pointer: "/kind", Code: "range", Detail: "mgmt or verify is wanted."})
	}
	for i, scope := range n.Scopes {
		if !slices.Contains(Scopes(), scope) || n.Kind == secret.Verify && scope != ScopeVerify {
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/scopes/%d", i), Code: "range",
				Detail: "A scope of a management key is wanted: sessions, impersonate, users, settings, keys, events or verify; a verify key has the scope verify only."})
		}
	}
	if len(n.Scopes) > len(Scopes()) {
		bad = append(bad, fault.Field{Pointer: "/scopes", Code: "size", Detail: fmt.Sprintf("There are %d scopes.", len(Scopes()))})
	}
	if len(n.Networks) > maxNetworks {
		bad = append(bad, fault.Field{Pointer: "/networks", Code: "size", Detail: fmt.Sprintf("At most %d networks are allowed.", maxNetworks)})
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now) {
		bad = append(bad, fault.Field{Pointer: "/expiresAt", Code: "range", Detail: "A time in the future is wanted."})
	}
	if len(bad) > 0 {
		return fault.New(fault.Invalid, "The management key can't be made like this.").WithFields(bad...)
	}
	return nil
}
