package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

var loopback = webhook.Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func message(address string) webhook.Message {
	return webhook.Message{URL: address, ID: "evt_1", At: time.Unix(1700000000, 0), Signature: "v1,c2ln", Body: []byte(`{"type":"x"}`)}
}

func TestSend(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	out := New(Config{Networks: loopback, Version: "1.2"}).Send(t.Context(), message(s.URL+"/a?b=c"))
	if !out.Delivered() || out.Status != 202 || out.Error != "" || out.Took <= 0 {
		t.Fatalf("%+v", out)
	}
	if got.Method != "POST" || got.URL.String() != "/a?b=c" || string(body) != `{"type":"x"}` || got.ContentLength != int64(len(body)) {
		t.Errorf("%s %s %s", got.Method, got.URL, body)
	}
	for name, want := range map[string]string{
		"Webhook-Id": "evt_1", "Webhook-Timestamp": "1700000000", "Webhook-Signature": "v1,c2ln", "Content-Type": "application/json",
		"User-Agent": "latchkey/1.2", "Accept-Encoding": "", "Authorization": "", "Cookie": "", "Referer": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q", name, got.Header.Get(name))
		}
	}
}

// Attack 38: the address is judged when it is connected to, however it is written and
// whatever its name leads to.
func TestAttack38HiddenAddressesAreNotReached(t *testing.T) {
	var reached atomic.Int32
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	plain, encrypted := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer encrypted.Close()
	_, port, err := net.SplitHostPort(encrypted.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(encrypted.Certificate())
	s := New(Config{TLS: &tls.Config{RootCAs: pool}})
	for _, address := range []string{
		plain.URL, encrypted.URL, "https://localhost:" + port, "https://127.1:" + port, "https://0x7f000001:" + port, "https://2130706433:" + port,
		"https://[::ffff:127.0.0.1]:" + port, "https://0.0.0.0:" + port, "https://[::]:" + port, "https://127.0.0.1.:" + port,
	} {
		out := s.Send(t.Context(), message(address+"/?canary"))
		if out.Delivered() || out.Error == "" || strings.Contains(out.Error, "canary") || strings.Contains(out.Error, port) {
			t.Errorf("%s: %+v", address, out)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	if out := New(Config{Networks: loopback, TLS: &tls.Config{RootCAs: pool}}).Send(t.Context(), message(encrypted.URL)); !out.Delivered() {
		t.Errorf("an allowed one: %+v", out)
	}
}

// A name that led to a public address when somebody looked, and to another one now.
func TestAttack38Rebinding(t *testing.T) {
	for address, want := range map[string]error{
		"8.8.8.8:443": nil, "127.0.0.1:443": webhook.ErrAddress, "[::1]:443": webhook.ErrAddress, "[fe80::1%eth0]:443": webhook.ErrAddress,
		"169.254.169.254:80": webhook.ErrAddress, "nonsense": webhook.ErrAddress, "": webhook.ErrAddress, "localhost:443": webhook.ErrAddress,
	} {
		if err := allowed(nil, address, false); !errors.Is(err, want) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := allowed(nil, "8.8.8.8:80", true); !errors.Is(err, webhook.ErrAddress) {
		t.Error("a public address without TLS is allowed")
	}
}

// Attack 38: a redirect leads nowhere, be it to the same host.
func TestAttack38RedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		requests := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			http.Redirect(w, r, "/elsewhere", status)
		}))
		out := New(Config{Networks: loopback}).Send(t.Context(), message(s.URL))
		s.Close()
		if out.Delivered() || out.Status != status || out.Error == "" || requests != 1 {
			t.Errorf("%d: %+v after %d requests", status, out, requests)
		}
	}
}

// No proxy of the environment is used: it would reach what we must not.
func TestNoProxy(t *testing.T) {
	asked := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	if out := New(Config{}).Send(t.Context(), message("http://169.254.169.254/latest/meta-data")); out.Error == "" || asked {
		t.Errorf("%+v, asked %v", out, asked)
	}
	for _, c := range []*http.Client{New(Config{}).encrypted, New(Config{}).plain} {
		if c.Transport.(*http.Transport).Proxy != nil {
			t.Error("there is a proxy")
		}
	}
}

// Attack 38: an answer without end is left alone, one with a huge header is no answer.
func TestAttack38ResponseBomb(t *testing.T) {
	var written atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			return
		}
		chunk := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer s.Close()
	sender := New(Config{Networks: loopback})
	if out := sender.Send(t.Context(), message(s.URL)); !out.Delivered() || out.Took > 5*time.Second {
		t.Errorf("%+v", out)
	}
	if n := written.Load(); n > 32<<20 {
		t.Errorf("%d bytes were taken", n)
	}
	if out := sender.Send(t.Context(), message(s.URL+"/header")); out.Delivered() || out.Error == "" {
		t.Errorf("a huge header: %+v", out)
	}
}

// Attack 38: a receiver that says nothing is given up after 15 seconds, also when it
// keeps the connection busy.
func TestAttack38SlowReceiver(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"silence": func(net.Conn) {},
		"drip": func(c net.Conn) {
			for _, b := range []byte("HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("x", 100)) {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubbletest.Run(t, func(t *testing.T) {
				s := New(Config{Networks: loopback})
				ctx, cancel := context.WithCancel(t.Context())
				s.plain.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go io.Copy(io.Discard, theirs)
					go serve(theirs)
					context.AfterFunc(ctx, func() { theirs.Close() })
					return ours, nil
				}
				began := time.Now()
				out := s.Send(t.Context(), message("http://127.0.0.1/"))
				if took := time.Since(began); out.Delivered() || out.Error != "The receiver took too long." || took != timeout {
					t.Errorf("%+v after %v", out, took)
				}
				cancel()
				s.plain.CloseIdleConnections()
				time.Sleep(2 * time.Minute) // whoever drips ends
			})
		})
	}
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := New(Config{Now: func() time.Time { return now }})
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "1.5": 0, "soon": 0, "99999999999999": 0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:01:00 GMT": 0,
	} {
		if got := s.retryAfter(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// Whatever goes wrong, what is said of it is in words of ours.
func TestReasonsHoldNoAddress(t *testing.T) {
	const canary = "https://hooks.example.com/?canary"
	for want, err := range map[string]error{
		"public":    webhook.ErrAddress,
		"resolved":  &net.DNSError{Name: "canary", Err: "no such host"},
		"certific":  &tls.CertificateVerificationError{Err: errors.New("canary")},
		"too long":  context.DeadlineExceeded,
		"failed":    errors.New("canary"),
		"too long.": &net.DNSError{IsTimeout: true, Err: "canary"},
	} {
		got := reason(&url.Error{Op: "Post", URL: canary, Err: fmt.Errorf("dialing: %w", err)})
		if strings.Contains(got, "canary") || !strings.Contains(got, want) && want != "too long." {
			t.Errorf("%s: %s", want, got)
		}
	}
	for _, address := range []string{"https://hooks.example.com\x00canary", "%zz canary"} {
		if out := New(Config{}).Send(t.Context(), message(address)); out.Error == "" || strings.Contains(out.Error, "canary") {
			t.Errorf("%+v", out)
		}
	}
	s := httptest.NewServer(http.NotFoundHandler())
	closed := s.URL
	s.Close()
	if out := New(Config{Networks: loopback}).Send(t.Context(), message(closed)); out.Error != "The connection was refused." {
		t.Errorf("%+v", out)
	}
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	if out := New(Config{Networks: loopback}).Send(t.Context(), message(untrusted.URL)); !strings.Contains(out.Error, "certificate") {
		t.Errorf("%+v", out)
	}
}
