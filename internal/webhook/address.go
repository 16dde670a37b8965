package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Networks are the networks that webhooks may reach although they aren't public ones. To
// these, and to no others, http is allowed.
type Networks []netip.Prefix

// ErrAddress is returned for an address that webhooks must not reach.
var ErrAddress = errors.New("the address is not a public one")

// Check returns ErrAddress unless a message may be sent to the address: to a public one
// with https, to one of the networks in any way. It is asked with the address that a name
// has led to, right before the connection is made: a name that leads elsewhere the next
// time gains nothing.
func (n Networks) Check(ip netip.Addr, plain bool) error {
	ip = ip.Unmap()
	if slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return nil
	}
	if plain || !public(ip) {
		return ErrAddress
	}
	return nil
}

// public reports whether an address is one of the public internet. What isn't known to be
// is not.
func public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	if ip.Is4() {
		return !within(ip, special4())
	}
	if within(ip, []string{"64:ff9b::/96"}) { // NAT64 (RFC 6052): leads to the address in its last 32 bits
		b := ip.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}
	return within(ip, []string{"2000::/3"}) && !within(ip, special6())
}

func within(ip netip.Addr, networks []string) bool {
	return slices.ContainsFunc(networks, func(n string) bool { return netip.MustParsePrefix(n).Contains(ip) })
}

// special4 are the networks of IPv4 that are not of the public internet (IANA's registry
// of special-purpose addresses, RFC 6890), or lead into the cloud that we run in.
func special4() []string {
	return []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"168.63.129.16/32", // the platform of Azure, at an address that looks public
	}
}

// special6 are those within 2000::/3: protocols, documentation, and 6to4, which leads to
// addresses of IPv4.
func special6() []string {
	return []string{"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"}
}

// checkURL returns what is wrong with an address to send to. The address isn't repeated:
// it may hold a credential.
func (n Networks) checkURL(text string) []fault.Field {
	refuse := func(code, format string, args ...any) []fault.Field {
		return []fault.Field{{Pointer: "/url", Code: code, Detail: fmt.Sprintf(format, args...)}}
	}
	if len(text) > maxURL {
		return refuse("size", "At most %d characters are allowed.", maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || strings.ContainsFunc(text, unprintable):
		return refuse("format", "An address such as https://hooks.example.com/latchkey is wanted.")
	case u.Scheme != "https" && (u.Scheme != "http" || len(n) == 0):
		return refuse("format", "An address with https is wanted.")
	case u.User != nil:
		return refuse("format", "A user name or password must not be part of the address.")
	case !validPort(u.Port()):
		return refuse("format", "A port is a number from 1 to 65535.")
	case strings.Contains(text, "#"):
		return refuse("format", "The address must not have a fragment.")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && n.Check(ip, u.Scheme == "http") != nil {
		return refuse("range", "The address is not a public one, and not in a network that the server's configuration allows (webhook-networks).")
	}
	return nil
}

// validPort reports whether a port can be connected to. Without one, that of the scheme
// is meant.
func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// unprintable reports what isn't printable ASCII: whoever writes such an address means
// another one than we would reach.
func unprintable(r rune) bool { return r <= ' ' || r > '~' }
