package site

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"

	"github.com/latchkey-dev/latchkey"
)

// form is what the sign-in page needs.
type form struct {
	Email, Problem string
	ReturnTo       string // where to go afterwards
	Hint           string
}

func (s *site) signInForm(w http.ResponseWriter, r *http.Request) error {
	if _, ok := latchkey.FromContext(r.Context()); ok {
		http.Redirect(w, r, latchkey.ReturnTo(r), http.StatusSeeOther)
		return nil
	}
	return s.show(w, r, http.StatusOK, "signin", "Sign in", form{ReturnTo: latchkey.ReturnTo(r), Hint: s.Hint})
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	email := r.PostFormValue("email")
	user, err := s.Users.Authenticate(r.Context(), email, r.PostFormValue("password"))
	if errors.Is(err, errWrongPassword) {
		again := form{Email: email, ReturnTo: latchkey.ReturnTo(r), Hint: s.Hint, Problem: "This address and this password don't belong together."}
		return s.show(w, r, http.StatusUnprocessableEntity, "signin", "Sign in", again)
	}
	if err != nil {
		return err
	}

	// The application has checked who it is; from here on Latchkey looks after the session.
	claims, err := json.Marshal(map[string]string{"account": user.ID})
	if err != nil {
		return err
	}
	set, err := s.Client.CreateSession(r.Context(), latchkey.SignInRequest{
		User:   latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &[]string{user.Email}, Name: &user.Name}),
		AMR:    []string{"pwd"},
		Claims: claims,
		Device: latchkey.DeviceRequest{IP: address(r), UserAgent: r.UserAgent()},
	})
	if err != nil {
		return err
	}
	if before, ok := latchkey.TokenFromContext(r.Context()); ok {
		// Nobody could sign out of it any more once its cookies are replaced.
		if err := s.Client.Logout(r.Context(), before); err != nil {
			s.Log.Warn("the session before this sign-in wasn't ended", "error", err)
		}
	}
	if err := s.Sessions.SignIn(w, r, set); err != nil {
		return err
	}
	http.Redirect(w, r, latchkey.ReturnTo(r), http.StatusSeeOther)
	return nil
}

// address is the user's address. Behind a proxy it is in a header that the proxy sets;
// believe such a header only if nobody but the proxy can send it.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// signOut ends the session, at the server and in this browser.
func (s *site) signOut(w http.ResponseWriter, r *http.Request) error {
	err := s.Sessions.SignOut(w, r)
	if refusal, ok := errors.AsType[latchkey.Refusal](err); ok {
		refusal.Write(w, r)
		return nil
	}
	if err != nil {
		// The cookies are gone, but the server couldn't be told.
		s.Log.Warn("a session wasn't ended at the server", "error", err)
	}
	http.Redirect(w, r, SignInPath, http.StatusSeeOther)
	return nil
}

// signOutEverywhere ends all sessions of the user, on every device.
func (s *site) signOutEverywhere(w http.ResponseWriter, v visit) error {
	token, _ := latchkey.TokenFromContext(v.Context())
	if err := s.Client.LogoutAll(v.Context(), token); err != nil {
		return err
	}
	return s.signOut(w, v.Request)
}
