package directory

import (
	"fmt"
	"net/netip"
)

// ParseNetwork reads a network from which a key may be used, such as 192.0.2.0/24. The
// wrong is a sentence that says what is wrong with it, empty when nothing is.
func ParseNetwork(text string) (n netip.Prefix, wrong string) {
	n, err := netip.ParsePrefix(text)
	switch {
	case err != nil || n.Addr().Is4In6():
		return n, "A network such as 192.0.2.0/24 is wanted."
	case n != n.Masked():
		// Which of the two was meant, one address or all of them, is not ours to guess.
		return n, fmt.Sprintf("A network begins with its first address: %s is the whole network, %s/%d this one address.",
			n.Masked(), n.Addr(), n.Addr().BitLen())
	}
	return n, ""
}
