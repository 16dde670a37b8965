package latchkey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// RevocationsConfig says whose revocation feed is followed, and how. It holds a key:
// don't log one.
type RevocationsConfig struct {
	// Issuer is {public URL}/{project id}. Required; https, except to this machine.
	Issuer string

	// Key is a key of the project with the scope verify (lk_verify_… or lk_mgmt_…).
	// Required.
	Key string

	// HTTPClient replaces the transport. Revocations works on a copy without a timeout,
	// which would cut the stream, and without redirects and cookies.
	HTTPClient *http.Client

	// Logger gets what goes wrong; slog.Default() when it is nil, because a feed that
	// isn't heard must not go unnoticed.
	Logger *slog.Logger

	// Now is the clock, time.Now when nil.
	Now func() time.Time

	// Poll asks again and again instead of keeping a stream open. It happens by itself
	// when a proxy on the way holds the stream back.
	Poll bool
}

// Format writes the configuration without its key, for every verb.
func (c RevocationsConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.RevocationsConfig{Issuer:%q}", redactUserinfo(c.Issuer))
}

// LogValue returns the configuration without its key.
func (c RevocationsConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Revocations follows a project's revocation feed and knows which tokens it concerns. An
// entry is kept until the server's clock and ours have passed its end, whatever happens to
// the connection: what is revoked stays revoked. It is safe for concurrent use.
type Revocations struct {
	issuer string
	key    *string // a pointer, so that no formatting can reach the text
	http   *http.Client
	log    *slog.Logger
	now    func() time.Time
	poll   bool

	index   *revokedIndex
	running atomic.Bool
	heardAt atomic.Pointer[time.Time] // when it was last known that nothing is missing

	mu         sync.Mutex
	cursor     string
	clock      feedClock
	lag        feedLag
	swept      time.Time
	mode       string
	complete   bool
	reconnects int
	lastError  string
	unknown    int
	malformed  int
	crowded    bool
	keyRevoked func()
}

// Modes of FeedStatus.
const (
	feedOff    = "off"
	feedStream = "stream"
	feedPoll   = "poll"
)

// FeedStatus is how well a revocation feed is heard.
type FeedStatus struct {
	// Mode is "stream", "poll" or "off": not running.
	Mode string

	// Complete says that all entries which mattered at some instant are known. It stays
	// true when the connection is lost: what is known stays known.
	Complete bool

	// LastHeard is when it was last known that nothing is missing: a heartbeat, or an
	// entry behind it. Zero before that. What comes while catching up doesn't count.
	LastHeard time.Time

	// Silence is how long ago LastHeard is; the greatest Duration before it.
	Silence time.Duration

	// Lag is the longest time in the last minute from a revocation, by the server's
	// clock, to the moment it was known here; 0 when there was none. LastLag is that of
	// the last one, however long ago.
	Lag, LastLag time.Duration

	// Entries is how many sessions, users, tenants, keys and so on are known to be
	// revoked or outdated.
	Entries int

	// Crowded says that there were more entries than the million that is kept. Until
	// they are over, all tokens from before are outdated, so that the server decides.
	Crowded bool

	// Unknown and Malformed count the entries that had no effect: of a kind that only a
	// newer SDK knows, and such that make no sense.
	Unknown, Malformed int

	// Reconnects is how often the connection was made anew.
	Reconnects int

	// LastError is why the feed isn't heard at present, empty when it is.
	LastError string
}

// NewRevocations returns a feed that is not followed yet: see Run. The error names
// everything that is wrong with the configuration.
func NewRevocations(c RevocationsConfig) (*Revocations, error) {
	var problems []error
	base, project, err := splitIssuer(c.Issuer)
	if err == nil {
		// Whoever sits on the way of a plain http request gets the key, and can keep
		// revocations back.
		err = checkAddress("Issuer", c.Issuer)
	}
	if err != nil {
		problems = append(problems, err)
	}
	if !isKey(c.Key) {
		problems = append(problems, errors.New("the Key isn't a key of a project (lk_verify_… or lk_mgmt_…)"))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("latchkey: revocations: %w", errors.Join(problems...))
	}
	r := &Revocations{
		issuer: base + "/" + project, key: &c.Key, http: feedClient(c.HTTPClient), log: c.Logger, now: c.Now, poll: c.Poll,
		index: newRevokedIndex(project), mode: feedOff,
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r, nil
}

// feedClient returns an HTTP client for long answers.
func feedClient(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			// An HTTP/2 connection outlives its requests, also when nobody answers on it any
			// more: without pings every new request would be sent into the void.
			HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		}
	}
	c.Timeout = 0
	return httpClient(&c)
}

// Format writes where the feed comes from, without the key, for every verb.
func (r *Revocations) Format(f fmt.State, _ rune) {
	if r == nil {
		io.WriteString(f, "(*latchkey.Revocations)(nil)")
		return
	}
	fmt.Fprintf(f, "latchkey.Revocations{Issuer:%q}", r.issuer)
}

// LogValue returns where the feed comes from, without the key.
func (r *Revocations) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// Run follows the feed until ctx ends, and then returns nil. Whatever goes wrong is
// tried again, less and less often: it is logged, and Status tells. It is an error to
// run it twice at a time.
func (r *Revocations) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("latchkey: revocations: already running")
	}
	defer r.running.Store(false)
	defer r.setMode(feedOff)
	newFollower(r).run(ctx)
	return nil
}

// Status returns how well the feed is heard.
func (r *Revocations) Status() FeedStatus {
	now := r.now()
	s := FeedStatus{Silence: r.silence(now), Entries: r.index.size(), Crowded: r.index.crowded()}
	if at := r.heardAt.Load(); at != nil {
		s.LastHeard = *at
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Mode, s.Complete, s.Reconnects, s.LastError = r.mode, r.complete, r.reconnects, r.lastError
	s.Lag, s.LastLag = r.lag.most(now), r.lag.last
	s.Unknown, s.Malformed = r.unknown, r.malformed
	return s
}

// version grows whenever tokens are refused that weren't before, and never otherwise.
// Read it before judge: a verdict holds for as long as the version is the same.
func (r *Revocations) version() uint64 { return r.index.edits.Load() }

// judge returns ReasonRevoked, ReasonOutdated, or "" when nothing is known against the
// token. It allocates nothing.
func (r *Revocations) judge(c *Claims) Reason { return r.index.judge(c) }

// silence returns how long it is ago at now that nothing was missing for certain; the
// greatest Duration when that never was so.
func (r *Revocations) silence(now time.Time) time.Duration {
	at := r.heardAt.Load()
	if at == nil {
		return math.MaxInt64
	}
	// The monotonic clock stands still while a machine sleeps; the wall clock doesn't.
	return max(now.Sub(*at), now.Round(0).Sub(at.Round(0)), 0)
}

// onKey sets what is called when a key was revoked: the key set must be fetched again.
// It must not block, as it holds up the feed. Call it before Run.
func (r *Revocations) onKey(revoked func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keyRevoked = revoked
}
