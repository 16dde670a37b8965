package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"

	"github.com/latchkey-dev/latchkey"
)

// holder is the only holder of a session, and remembers what was acknowledged to it.
type holder struct {
	mu      sync.Mutex
	sid     string
	session string        // the session token of the last acknowledged answer
	newest  string        // the refresh token that was acknowledged last
	before  string        // the one that it replaced
	asked   bool          // the newest was presented and no answer came
	ending  bool          // somebody has asked for its end
	over    latchkey.Code // how it is refused, once it is
	known   bool          // its end was acknowledged
}

// userOf is the login id of a client's own user: sessions of one user can be ended
// together.
func userOf(what string, i int) string { return fmt.Sprintf("%s%d@example.com", what, i) }

// tokens returns what the holder presents next, and whether the session is over.
func (h *holder) tokens() (newest, before, session string, over latchkey.Code) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest, h.before, h.session, h.over
}

// ask sends a request. An answer that never came because of the kill is the caller's to
// bear; one that never came for another reason is a violation.
func (c *crash) ask(h *holder, r call) (answer, error) {
	a, err := c.p.send(r)
	if err != nil {
		c.mu.Lock()
		killing := c.killing
		c.mu.Unlock()
		if !killing {
			c.violation(h, "no answer though nobody killed the server: "+err.Error())
		}
	}
	return a, err
}

// signIn makes a session and its holder.
func (c *crash) signIn(login string) (*holder, error) {
	h := &holder{sid: "a new session of " + login}
	a, err := c.ask(h, signIn(c.in, login))
	if err != nil {
		return nil, err
	}
	var set latchkey.TokenSet
	if a.status != http.StatusOK || json.Unmarshal(a.body, &set) != nil {
		c.violation(h, fmt.Sprintf("a sign-in answers %d: %s", a.status, a.body))
		return nil, errors.New("no session")
	}
	h.sid, h.session, h.newest = set.Session.ID, set.SessionToken, set.RefreshToken
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count.signIns++
	return h, nil
}

// keepRefreshing refreshes the sessions of one client by turns, until the server is
// gone. A session that somebody has ended is replaced.
func (c *crash) keepRefreshing(i int) {
	for j := 0; !c.isKilling(); j = (j + 1) % sessionsPerClient {
		h := c.held(i, j)
		if !h.isOver() {
			if c.refresh(h) != nil {
				return
			}
			continue
		}
		c.checkEnded(h)
		fresh, err := c.signIn(userOf("refresher", i))
		if err != nil {
			return
		}
		c.hold(i, j, fresh)
	}
}

// held returns what a refreshing client holds: other clients look for sessions to end.
func (c *crash) held(i, j int) *holder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holders[i][j]
}

func (c *crash) hold(i, j int, h *holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders[i][j] = h
}

func (c *crash) isKilling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killing
}

func (h *holder) isOver() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over != ""
}

// refresh presents the newest acknowledged token, and judges the answer.
func (c *crash) refresh(h *holder) error {
	token, _, _, over := h.tokens()
	a, err := c.ask(h, refresh(c.in, token))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.asked = true
		return err
	}
	if a.status != http.StatusOK {
		c.refused(h, a)
		return nil
	}
	var set latchkey.TokenSet
	if err := json.Unmarshal(a.body, &set); err != nil {
		c.violation(h, err.Error())
		return nil
	}
	if over != "" {
		c.violation(h, "refreshed after its end was acknowledged")
	}
	if why := strange(token, set.RefreshToken); why != "" {
		c.violation(h, why)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.asked {
		h.asked = false
		c.count.retried++
	}
	h.session = set.SessionToken
	switch set.RefreshToken {
	case "":
		c.count.reads++
	case token:
		c.count.replays++
	default:
		c.count.rotations++
		h.before, h.newest = token, set.RefreshToken
	}
	return nil
}

// strange says what is wrong with the refresh token that was handed out for another:
// its only holder may get the same one, a child of it, or none.
func strange(presented, issued string) string {
	if issued == "" || issued == presented {
		return ""
	}
	from, err := said(presented)
	if err != nil {
		return "presented: " + err.Error()
	}
	to, err := said(issued)
	if err != nil {
		return "issued: " + err.Error()
	}
	if to["prt"] != from["rid"] || to["sid"] != from["sid"] {
		return fmt.Sprintf("the token that was handed out is no child of the one presented: %v after %v", to["prt"], from["rid"])
	}
	return ""
}

// refused judges a refusal; h is locked. The only good reason is that somebody has
// asked for the session's end.
func (c *crash) refused(h *holder, a answer) {
	p, err := a.problem()
	switch {
	case err != nil:
		c.violation(h, fmt.Sprintf("a refresh answers %d, not as a problem should be: %v", a.status, err))
	case !h.ending || p.Code != latchkey.CodeSessionRevoked || !p.Terminal:
		c.violation(h, fmt.Sprintf("a refresh by the only holder answers %s (end asked for: %v): %s", p.Code, h.ending, p.Detail))
	}
	h.over = latchkey.CodeSessionRevoked
}

// keepEnding signs in and ends sessions in every way there is, until the server is
// gone: its own, and now and then one that another client is refreshing.
func (c *crash) keepEnding(i int) {
	for !c.isKilling() {
		if err := c.furnish(i); err != nil {
			return
		}
		own := c.own[i]
		var err error
		switch rand.N(4) {
		case 0:
			err = c.endAll(own)
		case 1:
			err = c.end(c.held(rand.N(refreshers), rand.N(sessionsPerClient)))
		default:
			err = c.end(own[rand.N(len(own))])
		}
		if err != nil {
			return
		}
	}
}

// furnish gives a client three live sessions of its own, each refreshed once.
func (c *crash) furnish(i int) error {
	c.own[i] = slices.DeleteFunc(c.own[i], (*holder).isOver)
	for len(c.own[i]) < 3 {
		h, err := c.signIn(userOf("ender", i))
		if err != nil {
			return err
		}
		c.own[i] = append(c.own[i], h)
		if err := c.refresh(h); err != nil {
			return err
		}
	}
	return nil
}

// end ends one session, in one of the ways there are.
func (c *crash) end(h *holder) error {
	_, _, session, _ := h.tokens()
	ways := []call{
		{method: "POST", path: c.in.api("/sessions/" + h.sid + "/revoke"), bearer: c.in.ManagementKey},
		{method: "POST", path: c.in.user("/session/logout"), bearer: session},
		{method: "DELETE", path: c.in.user("/sessions/" + h.sid), bearer: session},
	}
	return c.endBy(ways[rand.N(len(ways))], h)
}

// endAll ends all sessions of a user at once.
func (c *crash) endAll(own []*holder) error {
	_, _, session, _ := own[0].tokens()
	return c.endBy(call{method: "POST", path: c.in.user("/session/logout-all"), bearer: session}, own...)
}

// endBy sends a request that ends sessions, and notes that it was acknowledged.
func (c *crash) endBy(r call, all ...*holder) error {
	for _, h := range all {
		h.mu.Lock()
		h.ending = true
		h.mu.Unlock()
	}
	a, err := c.ask(all[0], r)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		// Somebody else may have ended it in the meantime.
		if p, err := a.problem(); err != nil || !p.Terminal {
			c.violation(all[0], fmt.Sprintf("%s %s answers %d: %s", r.method, r.path, a.status, a.body))
		}
		return nil
	}
	for _, h := range all {
		c.isEnded(h, latchkey.CodeSessionRevoked)
	}
	return nil
}

// isEnded notes an acknowledged end. Ending again is no error, and changes nothing.
func (c *crash) isEnded(h *holder, code latchkey.Code) {
	h.mu.Lock()
	known := h.known
	h.known = true
	if h.over == "" {
		h.over = code
	}
	h.mu.Unlock()
	if known {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, h)
	c.count.endings++
}

// checkHeld refreshes what isn't known to be over with the newest acknowledged token.
// Where an end was asked for and no answer came, both outcomes are right.
func (c *crash) checkHeld(group []*holder) {
	for _, h := range group {
		if h.isOver() || c.refresh(h) != nil {
			continue
		}
		// It lives, so whoever has asked for its end in vain has failed for good.
		h.mu.Lock()
		h.ending = h.ending && h.over != ""
		h.mu.Unlock()
	}
}

// checkEnded presents the tokens of a session whose end was acknowledged.
func (c *crash) checkEnded(h *holder) {
	newest, before, session, over := h.tokens()
	calls := []call{refresh(c.in, newest), {method: "GET", path: c.in.user("/session"), bearer: session}}
	if before != "" {
		calls = append(calls, refresh(c.in, before))
	}
	for _, r := range calls {
		a, err := c.ask(h, r)
		if err != nil {
			continue
		}
		if p, err := a.problem(); err != nil || p.Code != over || !p.Terminal {
			c.violation(h, fmt.Sprintf("its end was acknowledged, and %s %s answers %d: %s", r.method, r.path, a.status, a.body))
		}
	}
}

// checkReplaced proves to the server that the newest acknowledged token has arrived,
// and presents the one before it: the replacement must not be forgotten.
func (c *crash) checkReplaced(h *holder) {
	_, before, session, over := h.tokens()
	if over != "" || before == "" || h.ending {
		return
	}
	if a, err := c.ask(h, call{method: "GET", path: c.in.user("/session"), bearer: session}); err != nil || a.status != http.StatusOK {
		c.violation(h, fmt.Sprintf("the session token of the last acknowledged answer is answered %d: %s", a.status, a.body))
		return
	}
	a, err := c.ask(h, refresh(c.in, before))
	if err != nil {
		return
	}
	if p, err := a.problem(); err != nil || p.Code != latchkey.CodeTokenReuse || !p.Terminal {
		c.violation(h, fmt.Sprintf("the token before the one that was acknowledged is answered %d: %s", a.status, a.body))
		return
	}
	c.isEnded(h, latchkey.CodeTokenReuse)
	c.mu.Lock()
	c.count.thefts++
	c.mu.Unlock()
}
