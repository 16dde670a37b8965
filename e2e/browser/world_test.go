package browser

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen in a moment. It is long,
// because the machine may be busy with something else.
const patience = 30 * time.Second

// world is what one test has for itself: sites, browsers that see nothing but these
// sites, servers.
type world struct {
	t         *testing.T
	tls, http net.Listener
	spki      string // fingerprint of the sites' key, for browsers to accept

	mu    sync.Mutex
	sites map[string]http.Handler // by scheme and host, without a port
}

// newWorld makes a world, and ends it with the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	if err := sources(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sites: map[string]http.Handler{}}
	certificate, err := w.certify()
	if err != nil {
		t.Fatal(err)
	}
	w.tls = w.serve("https", &tls.Config{Certificates: []tls.Certificate{certificate}})
	w.http = w.serve("http", nil)
	return w
}

// certify makes the certificate of all sites. Nobody signs it: the browsers are told the
// fingerprint of its key, and refuse any other. Ignoring all errors instead would make
// them ignore some security features too.
func (w *world) certify() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sites of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"example.test", "*.example.test", "*.example.net", "localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	fingerprint := sha256.Sum256(public)
	w.spki = base64.StdEncoding.EncodeToString(fingerprint[:])
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// serve serves all sites of a scheme at a free port, over HTTP/2 where there is TLS.
func (w *world) serve(scheme string, config *tls.Config) net.Listener {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	// A browser that goes away in the middle of a handshake is nothing to report.
	s := &http.Server{Handler: w.dispatch(scheme), TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if config != nil {
			s.ServeTLS(l, "", "")
		} else {
			s.Serve(l)
		}
	}()
	w.t.Cleanup(func() {
		s.Close()
		<-done
	})
	return l
}

func (w *world) dispatch(scheme string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		w.mu.Lock()
		site := w.sites[scheme+"://"+host]
		w.mu.Unlock()
		if site == nil {
			http.NotFound(rw, r)
			return
		}
		site.ServeHTTP(rw, r)
	})
}

// site puts a handler at an origin without a port, and returns the origin as browsers
// see it. Only localhost and 127.0.0.1 have a port: browsers of this world find all
// other names at the usual ones.
func (w *world) site(origin string, h http.Handler) string {
	w.t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.sites[origin] = h
	w.mu.Unlock()
	if host := u.Hostname(); host != "localhost" && host != "127.0.0.1" {
		return origin
	}
	l := w.http
	if u.Scheme == "https" {
		l = w.tls
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return origin + ":" + port
}

// await polls until done, and fails the test when that takes too long.
func (w *world) await(what string, done func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}
