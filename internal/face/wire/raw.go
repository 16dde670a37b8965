package wire

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
)

// DecodeRaw is Decode for a member that Decode has left as it is (json.RawMessage),
// because its type depends on its value. The pointers of problems start with pointer.
func DecodeRaw(raw json.RawMessage, pointer string, into any) error {
	_, err := readRaw(raw, pointer, into, false)
	return err
}

func readRaw(raw []byte, pointer string, into any, looksOn bool) (Unknown, error) {
	ptr := reflect.ValueOf(into)
	if ptr.Kind() != reflect.Pointer || ptr.IsNil() {
		return nil, fmt.Errorf("wire: DecodeRaw needs a pointer, not %T", into)
	}
	p, err := planOf(ptr.Type().Elem(), "json")
	if err != nil {
		return nil, err
	}
	if p.stars > 0 || p.shape != shapeObject {
		return nil, fmt.Errorf("wire: DecodeRaw can't read a member into %T", into)
	}
	fresh := reflect.New(p.typ).Elem()
	fields := walkBody(raw, p, fresh)
	for i := range fields {
		fields[i].Pointer = pointer + fields[i].Pointer
	}
	if len(fields) > 0 && !(looksOn && onlyUnknown(fields)) {
		return nil, problemsError("body", fields)
	}
	ptr.Elem().Set(fresh)
	return fields, nil
}

// Describe returns what is known of a client that another one speaks for: an
// application that signs its user in.
func Describe(ip netip.Addr, userAgent string) Client {
	userAgent = printable(userAgent, maxUserAgent)
	ip = canonical(ip)
	return Client{IP: ip, Network: network(ip), UserAgent: userAgent, Agent: agentFamily(userAgent)}
}

// TrustedProxies is ParseProxies for networks that have been read and checked already.
func TrustedProxies(networks []netip.Prefix) Proxies { return Proxies{networks} }

// Printable returns at most n bytes of s without control characters and invalid UTF-8,
// for what a stranger may have chosen and people get to see.
func Printable(s string, n int) string { return printable(s, n) }
