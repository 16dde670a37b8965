package site

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
)

// account shows the user's sessions. The list comes from the server, asked with the
// user's own token: it can only be theirs.
func (s *site) account(w http.ResponseWriter, v visit) error {
	token, _ := latchkey.TokenFromContext(v.Context())
	var sessions []latchkey.Session
	for session, err := range s.Client.OwnSessions(v.Context(), token) {
		if err != nil {
			return err
		}
		sessions = append(sessions, session)
	}
	return s.show(w, v.Request, http.StatusOK, "account", "Your account", sessions)
}

// endSession ends another session of the user, such as that of a lost phone. Its tokens
// are refused everywhere within a second.
func (s *site) endSession(w http.ResponseWriter, v visit) error {
	id := v.PathValue("id")
	if id == v.claims.SessionID {
		return s.signOut(w, v.Request)
	}
	token, _ := latchkey.TokenFromContext(v.Context())
	// A session that is gone already is what was asked for.
	if err := s.Client.EndOwnSession(v.Context(), token, id); err != nil && latchkey.CodeOf(err) != latchkey.CodeNotFound {
		return err
	}
	http.Redirect(w, v.Request, "/account", http.StatusSeeOther)
	return nil
}
