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

	// streamRetry is how soon one may try again who couldn't be served.
	streamRetry = time.Second

	// streamStep is how many entries are a part of a stream, with a deadline of its own.
	streamStep = 256
)

// source is what a stream tells.
type source interface {
	// part writes the next streamStep entries at most, and returns what is closed when
	// there is more; nil when there is more already.
	part(ctx context.Context, to *stream) (<-chan struct{}, error)

	// beat is called now and then, so that the reader knows that the connection is there.
	beat(to *stream)
}

// stream is one answer of Server-Sent Events.
type stream struct {
	face *Face
	w    http.ResponseWriter
	rc   *http.ResponseController
	buf  bytes.Buffer

	prove func(context.Context) error // that the key still opens it
}

// begin opens a stream for a caller whose key has a scope.
func (f *Face) begin(w http.ResponseWriter, r *http.Request, c caller, scope directory.Scope) *stream {
	s := &stream{face: f, w: w, rc: http.NewResponseController(w)}
	s.prove = func(ctx context.Context) error {
		credential, _, err := wire.Bearer(r)
		if err == nil {
			_, err = f.d.Directory.Key(ctx, c.project, credential, f.d.Proxies.Client(r).IP, scope)
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
	return s
}

// run writes until the reader is gone, the server drains, the key opens nothing any
// more, or the stream is old enough. All of that is looked at between two parts as well: a
// slow reader, for whom there always is more, doesn't outlive the key.
func (s *stream) run(ctx context.Context, of source) error {
	// The end of the answer is written after the last event's deadline.
	defer func() { s.rc.SetWriteDeadline(time.Now().Add(patience)) }()
	ctx, cancel := context.WithTimeout(ctx, streamLife-streamJitter+rand.N(2*streamJitter))
	defer cancel()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for proved := time.Now(); !s.over(ctx); {
		ready, err := of.part(ctx, s)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ready != nil {
			select {
			case <-ready:
			case <-beat.C:
				of.beat(s)
			case <-ctx.Done():
			case <-s.face.d.Draining:
			}
		}
		if time.Since(proved) < proveEvery {
			continue
		}
		if proved = time.Now(); s.disproved(ctx) {
			return nil
		}
	}
	return nil
}

// over reports whether the stream has to end, whatever there is to be written.
func (s *stream) over(ctx context.Context) bool {
	select {
	case <-s.face.d.Draining:
		return true
	default:
		return ctx.Err() != nil
	}
}

// disproved reports whether the key opens the stream no more, or its project was deleted.
func (s *stream) disproved(ctx context.Context) bool {
	switch fault.KindOf(s.prove(ctx)) {
	case fault.Unauthenticated, fault.Forbidden, fault.NotFound:
		return true
	}
	return false
}

func (s *stream) time() []byte {
	return fmt.Appendf(nil, `{"serverTime":%q}`, s.face.d.Now().UTC().Format(time.RFC3339Nano))
}

// comment adds what readers pass over.
func (s *stream) comment(text string) { s.buf.WriteString(": " + text + "\n\n") }

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
