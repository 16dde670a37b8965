package latchkey

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// sweepEvery is how often entries that are over are dropped.
const sweepEvery = time.Minute

// take applies an entry. live says that the feed was complete before it: the time since
// the revocation is the feed's lag then, and not that of a connection that was lost.
func (r *Revocations) take(e *Revocation, live bool) {
	now := r.now()
	r.mu.Lock()
	over := r.clock.over(now)
	r.mu.Unlock()
	became := r.index.add(e, over)

	r.mu.Lock()
	notify := r.keyRevoked
	warning := r.count(became)
	if live && (became == entryAdded || became == entryCrowded) {
		r.lag.add(r.clock.since(e.At, now), now)
	}
	r.mu.Unlock()
	if warning != "" {
		r.log.Warn(warning, "issuer", r.issuer, "kind", shown(e.Kind), "id", shown(e.ID), "seq", e.Seq)
	}
	if e.Kind == kindKey && (became == entryAdded || became == entryCrowded) && notify != nil {
		notify()
	}
}

// count counts an entry that had no effect as such, and returns what to log of it. The
// first of a sort is logged, and then every thousandth, so that nobody can fill the log.
func (r *Revocations) count(became outcome) string {
	switch became {
	case entryUnknown:
		r.unknown++
		if r.unknown%1000 == 1 {
			return "the revocation feed has an entry of a kind that this version doesn't know; it has no effect"
		}
	case entryMalformed:
		r.malformed++
		if r.malformed%1000 == 1 {
			return "the revocation feed has an entry that makes no sense; it has no effect"
		}
	case entryCrowded:
		if !r.crowded {
			r.crowded = true
			return "the revocation feed has more entries than are kept: all tokens from before this one are outdated now"
		}
	}
	return ""
}

// shown returns text of the feed as it may be logged.
func shown(s string) string {
	return printable(s[:min(len(s), 64)])
}

// learn takes in the server's time, and drops what is over by it.
func (r *Revocations) learn(server time.Time) {
	now := r.now()
	r.mu.Lock()
	r.clock.learn(server, now)
	over := r.clock.over(now)
	passed := now.Sub(r.swept)
	due := passed < 0 || passed >= sweepEvery // below zero when our clock went back
	if due {
		r.swept = now
	}
	r.mu.Unlock()
	if !due || over <= 0 {
		return
	}
	r.index.sweep(over)
	if !r.index.crowded() {
		r.mu.Lock()
		r.crowded = false
		r.mu.Unlock()
	}
}

// advance moves on to a cursor. Call it once everything before it was applied. What
// can't be one is left out: the worst that follows is that entries are sent again.
func (r *Revocations) advance(cursor string) {
	if cursor == "" || len(cursor) > maxStreamID {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cursor = cursor
}

// place returns the cursor.
func (r *Revocations) place() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cursor
}

// heard says that nothing is missing at this moment.
func (r *Revocations) heard() {
	now := r.now()
	r.heardAt.Store(&now)
	r.mu.Lock()
	r.complete = true
	trouble := r.lastError
	r.lastError = ""
	r.mu.Unlock()
	if trouble != "" {
		r.log.Info("the revocation feed is heard again", "issuer", r.issuer)
	}
}

func (r *Revocations) setMode(mode string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = mode
}

func (r *Revocations) reconnected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reconnects++
}

// failed keeps and logs why the feed isn't heard. What is said again and again during an
// outage is logged once.
func (r *Revocations) failed(err error) {
	var refusal *Error
	badKey := errors.As(err, &refusal) && isKeyRefused(refusal)
	// A transport of the caller's may put anything into its errors.
	text := err.Error()
	text = withoutCredentials(printable(text[:min(len(text), 4*maxText)]), []string{*r.key})
	text = printable(text[:min(len(text), maxText)])
	if badKey {
		text = "the server refuses the key: " + text
	}
	r.mu.Lock()
	again := r.lastError == text
	r.lastError = text
	r.mu.Unlock()
	level := slog.LevelWarn
	switch {
	case again:
		level = slog.LevelDebug
	case badKey:
		level = slog.LevelError
	}
	r.log.Log(context.Background(), level, "the revocation feed isn't heard", "issuer", r.issuer, "error", text)
}

func isKeyRefused(e *Error) bool { return e.Status == 401 || e.Status == 403 }
