package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// AccessKeySourceConfig says whose tokens an AccessKeySource gives. It holds a key: don't
// log one.
type AccessKeySourceConfig struct {
	// Client asks the server. Required; one without a key is enough.
	Client *Client

	// Key is the access key (lk_ak_…). Required.
	Key string `json:"-"`

	// Tenant and Claims are asked for at every exchange: see AccessKeyExchange.
	Tenant string
	Claims json.RawMessage
}

// Format writes the configuration without its key, for every verb.
func (c AccessKeySourceConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.AccessKeySourceConfig{Key:%s Tenant:%q}", presence(c.Key), c.Tenant)
}

// LogValue returns the configuration without its key.
func (c AccessKeySourceConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// AccessKeySource gives a service the session token of its access key: it exchanges the
// key when a token is wanted first, again before the token ends, and once for however
// many callers ask. Nothing waits for an exchange while there is a token that is good.
// It is safe for concurrent use, and has no goroutine but that of an exchange under way.
type AccessKeySource struct {
	ask func(context.Context) (MachineToken, error)
	now func() time.Time

	mu       sync.Mutex
	held     heldToken
	flight   *exchangeFlight // nil: none is under way
	failures int             // in a row
	rest     time.Time       // no exchange before then
	err      error           // of the last one, if it has failed
}

// heldToken is a token with when it was asked for, by our clock, and how long it lives.
type heldToken struct {
	token string
	asked time.Time
	life  time.Duration
}

// age returns how old the token is. The monotonic clock stands still while a machine
// sleeps; the wall clock doesn't.
func (h heldToken) age(now time.Time) time.Duration {
	return max(now.Sub(h.asked), now.Round(0).Sub(h.asked.Round(0)))
}

// good reports whether the token lives; young, whether it needn't be replaced yet.
func (h heldToken) good(now time.Time) bool { return h.token != "" && h.age(now) < h.life }

func (h heldToken) young(now time.Time) bool {
	return h.age(now) < h.life-min(h.life/4, longestAhead)
}

// exchangeFlight is one exchange under way.
type exchangeFlight struct {
	done  chan struct{} // closed once the fields below are final
	token string
	err   error
}

// Bounds of an AccessKeySource.
const (
	exchangeBound = 30 * time.Second // one exchange, repetitions included
	longestAhead  = 5 * time.Minute  // before its end a token is replaced at the earliest
	shortestHold  = time.Second      // a token is kept, refused or not
	firstRest     = 250 * time.Millisecond
	longestRest   = 30 * time.Second
)

// NewAccessKeySource returns a source. It asks nothing yet. The error names everything
// that is wrong with the configuration.
func NewAccessKeySource(c AccessKeySourceConfig) (*AccessKeySource, error) {
	var problems []error
	if c.Client == nil {
		problems = append(problems, errors.New("the Client is missing"))
	}
	if !isAccessKey(c.Key) {
		problems = append(problems, errors.New("the Key isn't an access key (lk_ak_…)"))
	}
	if c.Tenant != "" && !isID(c.Tenant) {
		problems = append(problems, errors.New("the Tenant isn't the id of a tenant (ten_…)"))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("latchkey: access key: %w", errors.Join(problems...))
	}
	r := AccessKeyExchange{Key: c.Key, Tenant: c.Tenant, Claims: c.Claims}
	return &AccessKeySource{
		ask: func(ctx context.Context) (MachineToken, error) { return c.Client.ExchangeAccessKey(ctx, r) },
		now: c.Client.now,
	}, nil
}

// Format writes nothing of the key or the token, for every verb.
func (s *AccessKeySource) Format(f fmt.State, _ rune) {
	io.WriteString(f, "latchkey.AccessKeySource{}")
}

// LogValue writes nothing of the key or the token.
func (s *AccessKeySource) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// Token returns a token that is good now. It waits for the server only when there is none;
// a caller who gives up doesn't end the exchange, for which others may wait. When the
// server can't be reached or refuses, the error is its, and for a moment (a quarter of a
// second at first, 30 seconds at most) the same one is returned without asking again.
func (s *AccessKeySource) Token(ctx context.Context) (string, error) {
	token, flight, err := s.take(ctx)
	if flight == nil {
		return token, err
	}
	select {
	case <-flight.done:
		return flight.token, flight.err
	case <-ctx.Done():
		return "", fmt.Errorf("latchkey: access key: %w", ctx.Err())
	}
}

// take returns what can be had at once, or the exchange to wait for.
func (s *AccessKeySource) take(ctx context.Context) (string, *exchangeFlight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	good := s.held.good(now)
	if good && s.held.young(now) {
		return s.held.token, nil, nil
	}
	if s.flight == nil && !now.Before(s.rest) {
		s.flight = &exchangeFlight{done: make(chan struct{})}
		go s.fly(context.WithoutCancel(ctx), s.flight)
	}
	switch {
	case good:
		return s.held.token, nil, nil
	case s.flight == nil:
		return "", nil, s.err
	}
	return "", s.flight, nil
}

func (s *AccessKeySource) fly(ctx context.Context, flight *exchangeFlight) {
	ctx, cancel := context.WithTimeout(ctx, exchangeBound)
	defer cancel()
	asked := s.now()
	got, err := s.ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(flight.done)
	s.flight = nil
	if err != nil {
		flight.err = err
		s.failed(err)
		return
	}
	// How long it lives is what the server says of it by one clock, the server's. Counted
	// from when it was asked for, our clock may be wrong by any amount.
	s.held = heldToken{token: got.SessionToken, asked: asked, life: got.SessionExpiresAt.Sub(got.ServerTime)}
	s.failures, s.rest, s.err = 0, time.Time{}, nil
	flight.token = got.SessionToken
}

// failed keeps an error for a moment. A refusal of the key itself means that what was got
// with it isn't accepted any more either.
func (s *AccessKeySource) failed(err error) {
	s.err = err
	if code := CodeOf(err); code == CodeUnauthenticated || code == CodeForbidden {
		s.held = heldToken{}
	}
	rest := min(firstRest<<min(s.failures, 10), longestRest)
	var refusal *Error
	if errors.As(err, &refusal) {
		rest = max(rest, min(refusal.RetryAfter, longestRest))
	}
	s.failures++
	s.rest = s.now().Add(rest)
}

// Forget tells that a token was refused with a 401: the next call of Token gets another,
// unless one has been got meanwhile. The key may have been given other roles, or the
// signing key may have been revoked. A token of the last second stays: it is as new as
// tokens get, and who refuses it would refuse the next one, too.
func (s *AccessKeySource) Forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.token == token && s.held.age(s.now()) >= shortestHold {
		s.held = heldToken{}
	}
}

// Transport returns a RoundTripper that adds the token to requests to the given origins
// ("https://api.example.com"), and to no others: wherever a redirect leads, the token
// stays. A request that is refused with a 401 is sent once more with a new token, if it
// can be: it has no body, or GetBody. next is http.DefaultTransport when nil. An origin
// that can't be read is an error, and so is plain http except to this machine.
func (s *AccessKeySource) Transport(next http.RoundTripper, origins ...string) (http.RoundTripper, error) {
	t := &accessKeyTransport{source: s, next: next, origins: map[string]bool{}}
	if next == nil {
		t.next = http.DefaultTransport
	}
	var problems []error
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			problems = append(problems, errors.New("an origin such as https://api.example.com is wanted"))
			continue
		}
		if err := checkAddress("origin", origin); err != nil {
			problems = append(problems, err)
			continue
		}
		t.origins[originOf(u)] = true
	}
	if len(origins) == 0 {
		problems = append(problems, errors.New("at least one origin is wanted"))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("latchkey: access key: %w", errors.Join(problems...))
	}
	return t, nil
}

type accessKeyTransport struct {
	source  *AccessKeySource
	next    http.RoundTripper
	origins map[string]bool
}

// originOf returns scheme, host and port in one spelling.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// RoundTrip sends the request, with the token if it goes to one of the origins.
func (t *accessKeyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.origins[originOf(r.URL)] {
		return t.next.RoundTrip(r)
	}
	token, err := t.source.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close() // as RoundTrippers have to
		}
		return nil, err
	}
	res, err := t.next.RoundTrip(withToken(r, token, r.Body))
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return res, err
	}
	t.source.Forget(token)
	again, ok := bodyAgain(r)
	if !ok {
		return res, nil
	}
	fresh, err := t.source.Token(r.Context())
	if err != nil || fresh == token {
		if again != nil {
			again.Close()
		}
		return res, nil // the refusal that there is says more
	}
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	res.Body.Close()
	return t.next.RoundTrip(withToken(r, fresh, again))
}

// withToken returns a copy, since a RoundTripper may not change its request.
func withToken(r *http.Request, token string, body io.ReadCloser) *http.Request {
	out := r.Clone(r.Context())
	out.Body = body
	out.Header.Set("Authorization", "Bearer "+token)
	return out
}

// bodyAgain returns the body for a second attempt; false when there is no way to it.
func bodyAgain(r *http.Request) (io.ReadCloser, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}
