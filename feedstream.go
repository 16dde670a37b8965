package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	// beginWait is how long a stream may take to be accepted, and then to send its first
	// event.
	beginWait = 10 * time.Second

	// quietTime is how long a stream may say nothing. Heartbeats come every 10 s; a
	// connection that died without a word would be trusted for minutes otherwise.
	quietTime = 25 * time.Second
)

// watched is one attempt to stream.
type watched struct {
	*follower
	timer     *time.Timer // ends the attempt
	connected atomic.Bool
	lives     int // how often the stream said that nothing is missing
}

// stream follows the feed on one connection until that ends, and returns why: errEnded
// when the server ended it in good order.
func (f *follower) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &watched{follower: f}
	w.timer = time.AfterFunc(beginWait, func() { cancel(errSilent) })
	defer w.timer.Stop()
	err := w.listen(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) },
	}))
	if context.Cause(ctx) == errSilent {
		err = errSilent
		// Whatever else uses the connection would be as deaf.
		f.http.CloseIdleConnections()
	}
	held := errors.Is(err, errSilent) && w.connected.Load() && w.lives < 2
	if held || errors.Is(err, errNoStream) {
		f.strike()
	}
	return err
}

func (w *watched) listen(ctx context.Context) error {
	res, err := w.ask(ctx, "text/event-stream", url.Values{})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if encoding := res.Header.Get("Content-Encoding"); media(res.Header) != "text/event-stream" || encoding != "" && encoding != "identity" {
		return errNoStream
	}
	w.timer.Reset(beginWait)
	events := newEventReader(res.Body)
	for {
		e, err := events.next()
		if events.retry > 0 {
			w.pause = min(max(events.retry, shortPause), longestPause)
		}
		switch {
		case errors.Is(err, io.EOF) && w.lives == 0:
			return errIncomplete
		case errors.Is(err, io.EOF):
			return errEnded
		case err != nil:
			return err
		}
		// Comments don't count: a proxy in between may send them while the server is gone.
		w.timer.Reset(quietTime)
		w.event(e)
	}
}

func (w *watched) event(e streamEvent) {
	switch e.name {
	case "snapshot":
		w.learn(serverTime(e.data))
	case "revocation":
		var entry Revocation
		if json.Unmarshal(e.data, &entry) != nil {
			entry = Revocation{} // counted as one that makes no sense
		}
		w.take(&entry, w.lives > 0)
		w.advance(e.id)
		if w.lives > 0 {
			w.heard()
		}
	case "live":
		w.learn(serverTime(e.data))
		w.advance(e.id)
		w.heard()
		// The first one may have come out of a proxy together with the beginning. Later
		// ones show that events arrive one by one, and that the server stays.
		if w.lives++; w.lives > 1 {
			w.streams()
		}
	}
}

// serverTime reads the data of a snapshot or live event: zero when it can't be read.
func serverTime(data []byte) time.Time {
	var v struct {
		ServerTime time.Time `json:"serverTime"`
	}
	if json.Unmarshal(data, &v) != nil {
		return time.Time{}
	}
	return v.ServerTime
}
