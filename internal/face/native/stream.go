package native

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

const (
	heartbeat = 10 * time.Second

	// patience is how long a write to a subscriber may take. One who doesn't read holds
	// a place and buffers that others could have.
	patience = 10 * time.Second

	// proveEvery is how often the key is looked up again: one that was deleted, rotated
	// or has expired opens nothing any more.
	proveEvery = time.Minute

	// streamLife, give or take streamJitter, is when a stream ends by itself, so that
	// subscribers spread over the servers again after one was started.
	streamLife   = 15 * time.Minute
	streamJitter = time.Minute

	// streamStep is how many entries are written between two deadlines.
	streamStep = 256
)

// stream is one subscriber of the revocation feed by Server-Sent Events.
type stream struct {
	face *Face
	sub  *revocation.Subscription
	w    http.ResponseWriter
	rc   *http.ResponseController
	buf  bytes.Buffer
	live bool // it has caught up once

	prove func(context.Context) error // that the key still opens the feed
}

func (f *Face) stream(w http.ResponseWriter, r *http.Request, c caller, sub *revocation.Subscription) error {
	s := &stream{face: f, sub: sub, w: w, rc: http.NewResponseController(w)}
	s.prove = func(ctx context.Context) error {
		credential, _, err := wire.Bearer(r)
		if err == nil {
			_, err = f.d.Directory.Key(ctx, c.project, credential, f.d.Proxies.Client(r).IP, directory.ScopeVerify)
		}
		return err
	}
	h := w.Header()
	h.Set("Content-Type", mediaStream)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	s.buf.WriteString("retry: 1000\n\n")
	if sub.Snapshot {
		s.event("snapshot", "", s.time())
	}
	return s.run(r.Context())
}

// run writes until the reader is gone, the server drains, the key opens nothing any
// more, or the stream is old enough.
func (s *stream) run(ctx context.Context) error {
	// The end of the answer is written after the last event's deadline.
	defer func() { s.rc.SetWriteDeadline(time.Now().Add(patience)) }()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	prove := time.NewTicker(proveEvery)
	defer prove.Stop()
	end := time.NewTimer(streamLife - streamJitter + rand.N(2*streamJitter))
	defer end.Stop()
	for {
		ready, err := s.rest(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.face.d.Draining:
			return nil
		case <-end.C:
			return nil
		case <-ready:
		case <-beat.C:
			s.live = s.alive() || s.live
		case <-prove.C:
			switch fault.KindOf(s.prove(ctx)) {
			case fault.Unauthenticated, fault.Forbidden:
				return nil
			}
		}
	}
}

// rest writes what there is, and returns what is closed when there is more.
func (s *stream) rest(ctx context.Context) (<-chan struct{}, error) {
	for {
		lines, ready, err := s.sub.Next(ctx, streamStep)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			s.event("revocation", l.Cursor.String(), l.JSON)
		}
		if ready != nil && !s.live {
			s.live = s.alive()
		}
		if err := s.flush(); err != nil {
			return nil, err
		}
		s.sent(lines)
		if ready != nil {
			return ready, nil
		}
	}
}

// sent tells the meter of entries that are on their way.
func (s *stream) sent(lines []revocation.Line) {
	now := s.face.d.Now()
	for _, l := range lines {
		lag := time.Duration(-1)
		if s.live {
			lag = max(0, now.Sub(l.At))
		}
		s.face.d.FeedMeter.FeedSent(lag)
	}
}

// alive says that the reader knows everything, if that is so: while the store can't be
// read, only that the connection is there. It reports which.
func (s *stream) alive() bool {
	if !s.face.d.Revocations.Fresh() {
		s.buf.WriteString(": the store can't be read now\n\n")
		return false
	}
	s.event("live", s.sub.Cursor().String(), s.time())
	return true
}

func (s *stream) time() []byte {
	return fmt.Appendf(nil, `{"serverTime":%q}`, s.face.d.Now().UTC().Format(time.RFC3339Nano))
}

// event adds one event. data is JSON without line breaks.
func (s *stream) event(name, cursor string, data []byte) {
	s.buf.WriteString("event: ")
	s.buf.WriteString(name)
	if cursor != "" {
		s.buf.WriteString("\nid: ")
		s.buf.WriteString(cursor)
	}
	s.buf.WriteString("\ndata: ")
	s.buf.Write(data)
	s.buf.WriteString("\n\n")
}

// maxIdleBuffer is what a subscriber may keep between two events.
const maxIdleBuffer = 4 << 10

// flush sends what was added. A reader who doesn't take it in time is cut off.
func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	// The server's own deadline is for answers that are over soon. A writer without
	// deadlines is one without a connection.
	s.rc.SetWriteDeadline(time.Now().Add(patience))
	_, err := s.w.Write(s.buf.Bytes())
	if err == nil {
		err = s.rc.Flush()
	}
	// With HTTP/2 a deadline ends a stream even when nothing is being written.
	s.rc.SetWriteDeadline(time.Time{})
	if s.buf.Cap() > maxIdleBuffer {
		s.buf = bytes.Buffer{}
	}
	s.buf.Reset()
	return err
}
