package latchkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxKeySet    = 1 << 20 // bytes of a key set
	fetchTimeout = 10 * time.Second
	maxRedirects = 3
)

// isLoopback reports whether a host name or address is this machine.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// checkAddress checks an address that is relied on. Whoever sits on the way of a plain
// http request can answer with keys of its own, except on the way to this machine.
func checkAddress(name, address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("%s: an address such as https://auth.example.com/prj_… is wanted", name)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return fmt.Errorf("%s: no user name, query or fragment is possible", name)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s: https is needed, except to this machine", name)
}

var errRedirect = errors.New("the answer is a redirect to another host")

// sameHostClient returns a client that follows redirects within one host only: otherwise
// whoever can plant a redirect there says what the keys are.
func sameHostClient(given *http.Client) *http.Client {
	c := http.Client{Timeout: fetchTimeout}
	if given != nil {
		c = *given
	}
	inner := c.CheckRedirect
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
			return errRedirect
		}
		if inner != nil {
			return inner(r, via)
		}
		return nil
	}
	return &c
}

// keyQuestion is what a fetch asks.
type keyQuestion struct {
	tag   string // of the set that is there
	fresh bool   // caches on the way are to ask the server

	demand int // the last demand that the answer meets
}

// keyAnswer is what a fetch brought.
type keyAnswer struct {
	body      []byte
	unchanged bool // the set that is there is the newest
	tag       string
	maxAge    time.Duration
	date      time.Time // the server's clock; zero: not said
}

func (s *KeySet) fetch(q keyQuestion) (keyAnswer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return keyAnswer{}, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	if q.tag != "" {
		r.Header.Set("If-None-Match", q.tag)
	}
	if q.fresh {
		r.Header.Set("Cache-Control", "no-cache")
	}
	res, err := s.client.Do(r)
	if err != nil {
		return keyAnswer{}, err
	}
	defer res.Body.Close()
	a := keyAnswer{tag: res.Header.Get("ETag"), maxAge: keyAge(res.Header)}
	a.date, _ = http.ParseTime(res.Header.Get("Date")) // zero if there is none
	if len(a.tag) > 256 {
		a.tag = ""
	}
	switch {
	case res.StatusCode == http.StatusNotModified && q.tag != "":
		a.unchanged, a.tag = true, q.tag
		return a, nil
	case res.StatusCode != http.StatusOK:
		return keyAnswer{}, fmt.Errorf("%s answered %s", s.url, res.Status)
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	return a, err
}

// keyAge returns how long an answer may be used (RFC 9111 section 4.2), within bounds:
// no answer can have the set fetched all the time, or never again.
func keyAge(h http.Header) time.Duration {
	age := defaultKeyAge
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "max-age":
			if d, ok := deltaSeconds(value); ok {
				age = d
			}
		case "no-store", "no-cache":
			return minKeyAge
		}
	}
	// What a cache on the way has held back is gone already.
	if held, ok := deltaSeconds(h.Get("Age")); ok {
		age -= held
	}
	return min(max(age, minKeyAge), maxKeyAge)
}

func deltaSeconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(strings.Trim(s, `"`), 10, 32)
	return time.Duration(n) * time.Second, err == nil
}
