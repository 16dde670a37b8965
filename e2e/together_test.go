package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// TestTogether refreshes one session from 64 places at once: one rotation, and all get
// the same token.
func TestTogether(t *testing.T) {
	t.Parallel()
	const window = 5 * time.Second // longer than 64 refreshes ever take
	i := newWorld(t).install()
	p := i.serve()
	p.set(i.in, map[string]any{"reuseWindow": window.String()})
	set := p.signIn(i.in, "alice@example.com")
	i.windowOver(set, window)
	answers := make([]answer, 64)
	var clients sync.WaitGroup
	start := make(chan struct{})
	for n := range answers {
		clients.Go(func() {
			<-start
			var err error
			if answers[n], err = p.send(refresh(i.in, set.RefreshToken)); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	clients.Wait()
	issued := map[string]bool{}
	for _, a := range answers {
		var got latchkey.TokenSet
		a.must(t, &got)
		issued[got.RefreshToken] = true
	}
	if len(issued) != 1 || issued[""] || issued[set.RefreshToken] {
		t.Errorf("64 refreshes at once return %d different refresh tokens, want one that is new", len(issued))
	}
	want := slices.Concat([]string{"create", "rotate"}, slices.Repeat([]string{"replay"}, 63))
	if got := p.trace(i.in, set.Session.ID); !slices.Equal(got, want) {
		t.Errorf("the trace says %v, want one rotation and 63 replays", got)
	}
}

// TestEndingsOvertakeRefreshes ends all sessions of a user, in every way there is,
// while all of them are being refreshed. Once that is acknowledged nothing refreshes.
func TestEndingsOvertakeRefreshes(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	// Without a window every refresh is a rotation.
	p.set(i.in, map[string]any{"reuseWindow": "off", "refreshRateLimit": 100000})
	status := func(user, status string) call {
		return call{method: "PATCH", path: i.in.api("/users/" + user), bearer: i.in.ManagementKey, body: map[string]string{"status": status}}
	}
	for name, end := range map[string]func(user, session string) call{
		"logout-all": func(_, session string) call {
			return call{method: "POST", path: i.in.user("/session/logout-all"), bearer: session}
		},
		"revoke by user": func(user, _ string) call {
			return call{method: "POST", path: i.in.api("/users/" + user + "/sessions/revoke"), bearer: i.in.ManagementKey}
		},
		"revoke by filter": func(user, _ string) call {
			return call{method: "POST", path: i.in.api("/sessions/revoke"), bearer: i.in.ManagementKey, body: map[string]string{"user": user}}
		},
		"disable": func(user, _ string) call { return status(user, "disabled") },
		"delete": func(user, _ string) call {
			return call{method: "DELETE", path: i.in.api("/users/" + user), bearer: i.in.ManagementKey}
		},
	} {
		// One after the other: they share the two cores.
		t.Run(name, func(t *testing.T) {
			r := race{p: p, in: i.in, begun: make(chan struct{})}
			user := r.run(t, name, end)
			if name == "disable" {
				p.ask(status(user, "enabled")).must(t, nil)
			}
			r.nothingRefreshes(t)
		})
	}
}

// race is many clients of one user that refresh until they are refused.
type race struct {
	p     *process
	in    tenancy
	ended atomic.Bool // the end was acknowledged
	begun chan struct{}

	mu     sync.Mutex
	count  int
	tokens []string // every refresh token that was handed out
}

// run has the sessions of a new user refreshed, ends them meanwhile, and returns the
// user's id.
func (r *race) run(t *testing.T, name string, end func(user, session string) call) string {
	t.Helper()
	const sessions = 12
	var clients sync.WaitGroup
	var spare latchkey.TokenSet
	for n := range sessions {
		set := r.p.signIn(r.in, fmt.Sprintf("%s@example.com", slug(name)))
		if n == 0 {
			spare = set // it only speaks for the user
			continue
		}
		clients.Go(func() { r.keepRefreshing(t, set.RefreshToken) })
	}
	<-r.begun
	r.p.ask(end(spare.Session.User, spare.SessionToken)).must(t, nil)
	r.ended.Store(true)
	clients.Wait()
	return spare.Session.User
}

func slug(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c == ' ' {
			b[i] = '-'
		}
	}
	return string(b)
}

func (r *race) keepRefreshing(t *testing.T, token string) {
	for {
		late := r.ended.Load()
		a, err := r.p.send(refresh(r.in, token))
		if err != nil {
			t.Error(err)
			return
		}
		if a.status != http.StatusOK {
			if p, err := a.problem(); err != nil || p.Code != latchkey.CodeSessionRevoked || !p.Terminal {
				t.Errorf("a refresh is answered %d: %s", a.status, a.body)
			}
			return
		}
		if late {
			t.Error("a refresh was granted after the end was acknowledged")
			return
		}
		var set latchkey.TokenSet
		if err := json.Unmarshal(a.body, &set); err != nil {
			t.Error(err)
			return
		}
		token = set.RefreshToken
		r.note(token)
	}
}

// note keeps a token, and says so once the race is well under way.
func (r *race) note(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = append(r.tokens, token)
	if r.count++; r.count == 100 {
		close(r.begun)
	}
}

// nothingRefreshes presents all tokens that were ever handed out, the newest first.
func (r *race) nothingRefreshes(t *testing.T) {
	t.Helper()
	slices.Reverse(r.tokens)
	for _, token := range r.tokens[:min(len(r.tokens), 200)] {
		r.p.ask(refresh(r.in, token)).refused(t, http.StatusUnauthorized, latchkey.CodeSessionRevoked, true)
	}
}
