package wire

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestDecodeRaw(t *testing.T) {
	got := signInDevice{IP: "dropped", Name: "dropped"}
	if err := DecodeRaw(json.RawMessage(` {"ip":"a"}`), "/user", &got); err != nil || got != (signInDevice{IP: "a"}) {
		t.Errorf("%+v %v", got, err)
	}
	want := []string{"/user/os unknown there is no such member", "/user/ip required the member is required"}
	if p := problems(t, DecodeRaw(json.RawMessage(`{"os":1}`), "/user", &got)); !reflect.DeepEqual(p, want) || got.IP != "a" {
		t.Errorf("%q %+v", p, got)
	}
	if p := problems(t, DecodeRaw(json.RawMessage(`[]`), "/user", &got)); p[0] != "/user type an object is wanted" {
		t.Errorf("%q", p)
	}
	for _, into := range []any{got, (*signInDevice)(nil), new(string), new(selfish)} {
		if err := DecodeRaw(json.RawMessage(`{}`), "/user", into); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%T: %v", into, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	got := Describe(netip.MustParseAddr("::ffff:203.0.113.9"), chromeAgent+"\n")
	want := Client{netip.MustParseAddr("203.0.113.9"), netip.MustParsePrefix("203.0.113.0/24"), chromeAgent, "Chrome on Windows"}
	if got != want {
		t.Errorf("%+v", got)
	}
	if got := Describe(netip.Addr{}, ""); got != (Client{}) {
		t.Errorf("%+v", got)
	}
}

func TestTrustedProxies(t *testing.T) {
	p := TrustedProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if !p.trusts(netip.MustParseAddr("10.1.2.3")) || p.trusts(netip.MustParseAddr("11.1.2.3")) {
		t.Error("not the networks that were given")
	}
}
