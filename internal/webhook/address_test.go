package webhook_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// hidden are addresses that no webhook may reach, in the forms in which attackers write
// them.
var hidden = []string{
	"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "0.0.0.0", "0.1.2.3", "::",
	"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::ffff:10.0.0.1", "::ffff:192.168.0.1",
	"100.64.0.1", "100.127.255.255", "100.100.100.200", // shared space; the metadata of Alibaba's cloud
	"169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fd00:ec2::254", "192.0.0.192", "168.63.129.16", // metadata
	"fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fdff::1",
	"64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8", "2002:0a00:0001::1", "2002:7f00:0001::", "2001::1",
	"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:10::1", "3fff::1", "100::1", "5f00::1", "4000::1", "::8.8.8.8",
	"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1",
}

// Attack 38: a webhook is no way into the networks that the server is in.
func TestAttack38AddressesThatNoWebhookReaches(t *testing.T) {
	for _, text := range hidden {
		if err := (webhook.Networks)(nil).Check(netip.MustParseAddr(text), false); !errors.Is(err, webhook.ErrAddress) {
			t.Errorf("%s is allowed", text)
		}
	}
	if err := (webhook.Networks)(nil).Check(netip.Addr{}, false); !errors.Is(err, webhook.ErrAddress) {
		t.Error("no address is allowed")
	}
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"} {
		ip := netip.MustParseAddr(text)
		if err := (webhook.Networks)(nil).Check(ip, false); err != nil {
			t.Errorf("%s is refused", text)
		}
		if err := (webhook.Networks)(nil).Check(ip, true); !errors.Is(err, webhook.ErrAddress) {
			t.Errorf("%s is allowed without TLS", text)
		}
	}
}

// Networks that are allowed are so in any form, with http, too; no others become so.
func TestAllowedNetworks(t *testing.T) {
	n := webhook.Networks{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00:1::7": true,
		"10.2.0.1": false, "127.0.0.1": false, "fd00:2::7": false, "64:ff9b::10.1.2.3": false, "169.254.169.254": false,
	} {
		for _, plain := range []bool{false, true} {
			if err := n.Check(netip.MustParseAddr(text), plain); (err == nil) != want {
				t.Errorf("%s, plain %v: %v", text, plain, err)
			}
		}
	}
	if n.Check(netip.MustParseAddr("8.8.8.8"), false) != nil || n.Check(netip.MustParseAddr("8.8.8.8"), true) == nil {
		t.Error("public addresses are to be reached with TLS, and without it not")
	}
}

func TestAddressesOfWebhooks(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		for _, good := range []string{
			"https://hooks.example.com", "https://hooks.example.com:8443/a/b?c=d&e", "https://8.8.8.8/x", "https://[2606:4700::1111]:443/", "HTTPS://hooks.example.com/",
		} {
			if _, _, err := w.service.Create(t.Context(), w.project, webhook.Change{URL: &good}, origin); err != nil {
				t.Errorf("%s: %v", good, err)
			}
		}
		bad := []string{
			"", "hooks.example.com", "//hooks.example.com/", "https://", "https:///path", "https://:443/", "https:hooks.example.com", "http://hooks.example.com/",
			"ftp://hooks.example.com/", "https://hooks.example.com:0/", "https://hooks.example.com:65536/", "javascript:alert(1)", "file:///etc/passwd", "gopher://hooks.example.com", "unix:///run/x.sock",
			"https://canary@hooks.example.com/", "https://canary:x@hooks.example.com/", "https://hooks.example.com/#canary", "https://hooks.example.com/#",
			"https://hooks.example.com/ä", "https://hooks.example.com/a b", "https://hooks.example.com/\n", " https://hooks.example.com/", "https://hooks.exämple.com/",
			"https://hooks.example.com/" + strings.Repeat("x", 2000), "https://hooks.example.com:port/", "https://[::1", "https://[fe80::1%25eth0]/",
		}
		for _, ip := range hidden {
			if strings.Contains(ip, ":") {
				ip = "[" + strings.Replace(ip, "%", "%25", 1) + "]"
			}
			bad = append(bad, "https://"+ip+"/", "https://"+ip+":8443/x?canary")
		}
		for _, address := range bad {
			_, _, err := w.service.Create(t.Context(), w.project, webhook.Change{URL: &address}, origin)
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", address, err)
			} else if strings.Contains(err.Error(), "canary") {
				t.Errorf("%q is repeated: %v", address, err)
			}
		}
	})
}

// FuzzAddress: nothing that is accepted names a user, or leads to a hidden address by
// itself.
func FuzzAddress(f *testing.F) {
	for _, seed := range append([]string{"https://hooks.example.com/a?b=c", "https://a@b/", "https://[::1]/", "https://0x7f.1/"}, hidden...) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		w := newWorld(t)
		h, _, err := w.service.Create(t.Context(), w.project, webhook.Change{URL: &address}, origin)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		authority, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(h.URL), "https://"), "/")
		host, _, _ := strings.Cut(authority, "?")
		if strings.Contains(host, "@") || host == "" || strings.ContainsAny(h.URL, "\r\n \t#") {
			t.Errorf("%q is accepted", address)
		}
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && (webhook.Networks)(nil).Check(ip, false) != nil {
			t.Errorf("%q is accepted", address)
		}
	})
}
