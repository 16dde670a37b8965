package latchkey

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

const (
	firstPause   = time.Second // the pause after the first failure is at most this; the server may name another
	shortPause   = 100 * time.Millisecond
	goodStream   = time.Minute // a stream that lasted so long ended because its time was over
	longestPause = 30 * time.Second
	keyPause     = 30 * time.Second // after a refusal of the key: at least this, at most twice

	// longestWish is what is believed of Retry-After. More would leave the feed deaf for
	// as long as a broken proxy likes.
	longestWish = 5 * time.Minute

	// pollingTime is for how long it is polled after streaming didn't work. It doubles
	// while that stays so.
	pollingTime    = 5 * time.Minute
	maxPollingTime = time.Hour
)

var (
	errSilent      = errors.New("nothing was heard for too long")
	errNoStream    = errors.New("the answer isn't a stream of events")
	errStuck       = errors.New("the server says that there is more, and doesn't send it")
	errIncomplete  = errors.New("the connection ended before the feed was complete")
	errEnded       = errors.New("the server ended the stream")
	errTryToStream = errors.New("time to try streaming again")
)

// follower is what one Run knows.
type follower struct {
	*Revocations
	failures int           // in a row
	pause    time.Duration // bound of the pause after the first failure

	// Streaming doesn't work when connections stay silent: two in a row, or one that was
	// made to see whether it works again.
	strikes    int
	polling    bool
	pollFor    time.Duration
	streamNext time.Time // when streaming is tried again
}

func newFollower(r *Revocations) *follower {
	return &follower{Revocations: r, pause: firstPause, pollFor: pollingTime}
}

func (f *follower) run(ctx context.Context) {
	for {
		begin := f.now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := time.Duration(0)
		switch {
		case errors.Is(err, errTryToStream):
		case errors.Is(err, errEnded) && f.now().Sub(begin) >= goodStream:
			// The server ends streams now and then. Whatever is revoked until the next
			// one is heard that much later.
			wait = rand.N(shortPause)
		case errors.Is(err, errEnded):
			wait = f.delay(err)
		default:
			f.failed(err)
			wait = f.delay(err)
		}
		if !rest(ctx, wait) {
			return
		}
		f.reconnected()
	}
}

// follow returns when a stream has ended, a poll failed, or it is time to stream again.
func (f *follower) follow(ctx context.Context) error {
	if f.streamDue() {
		f.polling, f.strikes = false, 1
	}
	if f.Revocations.poll || f.polling {
		f.setMode(feedPoll)
		return f.pollOn(ctx)
	}
	f.setMode(feedStream)
	return f.stream(ctx)
}

// strike counts a connection on which streaming didn't work.
func (f *follower) strike() {
	f.strikes++
	if f.strikes < 2 {
		return
	}
	f.polling, f.streamNext = true, f.now().Add(f.pollFor)
	f.pollFor = min(2*f.pollFor, maxPollingTime)
	f.log.Warn("streaming the revocation feed doesn't work, perhaps because of a proxy that holds answers back: polling", "issuer", f.issuer)
}

// streamDue reports whether it is time to see whether streaming works again.
func (f *follower) streamDue() bool { return f.polling && !f.now().Before(f.streamNext) }

// streams says that streaming works.
func (f *follower) streams() {
	f.strikes, f.failures, f.pollFor = 0, 0, pollingTime
}

// delay returns how long to wait after a failure: at random up to a bound that doubles
// (full jitter), so that verifiers which lost the server together don't come back
// together, and not less than the server has asked for.
func (f *follower) delay(err error) time.Duration {
	var refusal *Error
	if errors.As(err, &refusal) && isKeyRefused(refusal) {
		return keyPause + rand.N(keyPause)
	}
	wait := rand.N(min(f.pause<<min(f.failures, 8), longestPause))
	f.failures++
	if refusal != nil {
		wait += min(refusal.RetryAfter, longestWish)
	}
	return wait
}

// rest waits; false when ctx ended meanwhile.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// ask requests the feed from the cursor on. Anything but 200 is an *Error: so are
// redirects, which would carry the key to wherever a broken proxy points.
func (r *Revocations) ask(ctx context.Context, accept string, query url.Values) (*http.Response, error) {
	if cursor := r.place(); cursor != "" {
		query.Set("after", cursor)
	}
	target := r.issuer + "/revocations"
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+*r.key)
	req.Header.Set("Accept", accept)
	// A proxy that compresses also collects, and every event would come late.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "latchkey-go")
	res, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem+1))
	if err != nil {
		return nil, err
	}
	return nil, readProblem(res, body, r.now(), []string{*r.key})
}
