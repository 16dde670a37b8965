package native

import (
	"context"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// feedSource is one subscriber of the revocation feed.
type feedSource struct {
	face *Face
	sub  *revocation.Subscription
	live bool // it has caught up once
}

func (f *Face) stream(w http.ResponseWriter, r *http.Request, c caller, sub *revocation.Subscription) error {
	s := f.begin(w, r, c, directory.ScopeVerify)
	if sub.Snapshot {
		s.event("snapshot", "", s.time())
	}
	return s.run(r.Context(), &feedSource{face: f, sub: sub})
}

func (l *feedSource) part(ctx context.Context, to *stream) (<-chan struct{}, error) {
	lines, ready, err := l.sub.Next(ctx, streamStep)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		to.event("revocation", line.Cursor.String(), line.JSON)
	}
	if ready != nil && !l.live {
		l.live = l.alive(to)
	}
	if err := to.flush(); err != nil {
		return nil, err
	}
	l.sent(lines)
	return ready, nil
}

func (l *feedSource) beat(to *stream) { l.live = l.alive(to) || l.live }

// sent tells the meter of entries that are on their way.
func (l *feedSource) sent(lines []revocation.Line) {
	now := l.face.d.Now()
	for _, line := range lines {
		lag := time.Duration(-1)
		if l.live {
			lag = max(0, now.Sub(line.At))
		}
		l.face.d.FeedMeter.FeedSent(lag)
	}
}

// alive says that the reader knows everything, if that is so: while the store can't be
// read, only that the connection is there. It reports which.
func (l *feedSource) alive(to *stream) bool {
	if !l.face.d.Revocations.Fresh() {
		to.comment("the store can't be read now")
		return false
	}
	to.event("live", l.sub.Cursor().String(), to.time())
	return true
}
