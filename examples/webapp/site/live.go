package site

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// live shows the session as it lives: its token runs out and is replaced, a change made
// elsewhere arrives. Its script asks for liveState every second, which is a request like
// any other: the middleware checks it, and refreshes the session when that is due.
func (s *site) live(w http.ResponseWriter, v visit) error {
	return s.show(w, v.Request, http.StatusOK, "live", "Live session", nil)
}

// state is what the current token says. The token itself isn't in it: what a page's
// script can't see, no script that gets into the page can steal.
type state struct {
	Now       time.Time `json:"now"`
	Token     string    `json:"token"` // its id (jti)
	IssuedAt  time.Time `json:"issuedAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Session   string    `json:"session"`
	SignedIn  time.Time `json:"signedIn"`
	EndsAt    time.Time `json:"endsAt"`
	Subject   string    `json:"subject"`
	Key       string    `json:"key"`
	AMR       []string  `json:"amr"`
	Note      string    `json:"note"`
}

func (s *site) liveState(w http.ResponseWriter, v visit) error {
	c := v.claims
	now := state{
		Now: time.Now(), Token: c.TokenID, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt,
		Session: c.SessionID, SignedIn: c.AuthTime, EndsAt: c.RefreshExpiresAt,
		Subject: c.Subject, Key: c.KeyID, AMR: c.AMR,
	}
	if _, err := c.Claim("note", &now.Note); err != nil {
		return err
	}
	return answer(w, now)
}

// liveTrace is what the server decided about this session, and why.
func (s *site) liveTrace(w http.ResponseWriter, v visit) error {
	trace, err := s.Client.Trace(v.Context(), v.claims.SessionID)
	if err != nil {
		return err
	}
	return answer(w, trace)
}

// liveNote changes a claim of the session from outside, as a back office would. The
// token that the browser holds doesn't know of it: the next request gets it a new one.
func (s *site) liveNote(w http.ResponseWriter, v visit) error {
	claims, err := json.Marshal(map[string]string{"note": "changed at " + time.Now().Format(time.TimeOnly)})
	if err != nil {
		return err
	}
	if _, err := s.Client.UpdateSessionClaims(v.Context(), v.claims.SessionID, latchkey.ClaimsPatch{Claims: claims}); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// liveRevoke ends the session from outside, as a back office would. The page finds out
// with its next request.
func (s *site) liveRevoke(w http.ResponseWriter, v visit) error {
	if _, err := s.Client.RevokeSession(v.Context(), v.claims.SessionID); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}
