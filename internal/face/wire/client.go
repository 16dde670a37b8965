package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mileusna/useragent"
)

// Client is where a request comes from, as far as it can be known.
type Client struct {
	IP        netip.Addr   // the zero value when unknown
	Network   netip.Prefix // the /24 or /48 of IP
	UserAgent string       // at most 256 bytes, printable
	Agent     string       // "Firefox on Linux", "curl", or "" when unknown
}

const (
	maxUserAgent = 256
	maxAgent     = 64

	// maxHops bounds how many entries of X-Forwarded-For are looked at: no deployment
	// has more trusted proxies in a row.
	maxHops = 16
)

// Proxies are the networks whose X-Forwarded-For is believed. The zero value believes
// nobody. It is immutable.
type Proxies struct {
	prefixes []netip.Prefix
}

// ParseProxies reads networks ("10.0.0.0/8") and addresses ("192.0.2.7"). All that is
// wrong is reported in one error. A network of everybody is refused: it would let
// every client choose its own address.
func ParseProxies(networks []string) (Proxies, error) {
	var p Proxies
	var problems []error
	for _, text := range networks {
		prefix, err := parseNetwork(strings.TrimSpace(text))
		if err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", text, err))
			continue
		}
		p.prefixes = append(p.prefixes, prefix)
	}
	if len(problems) > 0 {
		return Proxies{}, errors.Join(problems...)
	}
	return p, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, errors.New("not an address or a network such as 10.0.0.0/8")
	}
	if prefix.Masked() != prefix {
		return prefix, fmt.Errorf("bits are set behind the prefix length; %s is meant, or an address", prefix.Masked())
	}
	if prefix.Addr().Is4In6() {
		return prefix, errors.New("write an IPv4 network in its own form")
	}
	if prefix.Bits() == 0 {
		return prefix, errors.New("would trust everybody")
	}
	return prefix, nil
}

func (p Proxies) trusts(addr netip.Addr) bool {
	for _, prefix := range p.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Client returns where r comes from. The address is the connection's, unless that is a
// trusted proxy: then it is the right-most entry of X-Forwarded-For that isn't one,
// since everything to the left of it is hearsay. When an entry on the way there can't
// be read, it is the connection's. Header names with '_' for '-' are other headers.
func (p Proxies) Client(r *http.Request) Client {
	var c Client
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.IP = canonical(peer.Addr())
	}
	if c.IP.IsValid() && len(p.prefixes) > 0 && p.trusts(c.IP) {
		c.IP = p.forwarded(c.IP, r.Header["X-Forwarded-For"])
	}
	c.Network = network(c.IP)
	if agents := r.Header["User-Agent"]; len(agents) > 0 {
		c.UserAgent = printable(agents[0], maxUserAgent)
		c.Agent = agentFamily(c.UserAgent)
	}
	return c
}

func (p Proxies) forwarded(peer netip.Addr, headers []string) netip.Addr {
	found := peer
	hops := 0
	for i := len(headers) - 1; i >= 0; i-- {
		rest := headers[i]
		for more := true; more; hops++ {
			var entry string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, entry = rest[:at], rest[at+1:]
			} else {
				rest, entry, more = "", rest, false
			}
			addr, ok := parseHop(entry)
			if !ok || hops >= maxHops {
				return peer
			}
			if found = addr; !p.trusts(addr) {
				return found
			}
		}
	}
	return found
}

// parseHop reads an entry: an address, or, as some proxies write, one with a port.
func parseHop(entry string) (netip.Addr, bool) {
	entry = strings.Trim(entry, " \t")
	if addr, err := netip.ParseAddr(entry); err == nil {
		return canonical(addr), true
	}
	if hop, err := netip.ParseAddrPort(entry); err == nil {
		return canonical(hop.Addr()), true
	}
	return netip.Addr{}, false
}

// canonical gives each address one form, so that ::ffff:192.0.2.1 and 192.0.2.1 can't
// pass for two clients, nor escape a trusted or permitted network.
func canonical(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// network returns the /24 or /48 of addr: what one home or company usually has.
func network(addr netip.Addr) netip.Prefix {
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// printable returns at most n bytes of s without control characters and invalid UTF-8,
// which would end up in logs, terminals and pages.
func printable(s string, n int) string {
	s = shorten(s, 4*n) // the header may be as long as the server's limit
	ok := func(c rune) bool { return c != utf8.RuneError && unicode.IsPrint(c) }
	if strings.ContainsFunc(s, func(c rune) bool { return !ok(c) }) {
		s = strings.Map(func(c rune) rune {
			if ok(c) {
				return c
			}
			return -1
		}, s)
	}
	return shorten(s, n)
}

// agentFamily names the browser and system, or the product, of a user agent.
func agentFamily(userAgent string) string {
	if userAgent == "" {
		return ""
	}
	ua := useragent.Parse(userAgent)
	name := ua.Name
	if name == userAgent && strings.ContainsFunc(name, func(c rune) bool {
		return c > unicode.MaxASCII || c != '-' && c != '_' && c != '.' && !alphanumeric(byte(c))
	}) {
		return "" // nothing was recognised, and the whole isn't a product's name either
	}
	if ua.OS != "" && name != ua.Device {
		name += " on " + ua.OS
	}
	return shorten(name, maxAgent)
}
