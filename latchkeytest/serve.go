package latchkeytest

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// refusal is a problem to be answered.
type refusal struct {
	code   latchkey.Code
	detail string
	fields []latchkey.FieldError
}

func refuse(code latchkey.Code, detail string, fields ...latchkey.FieldError) *refusal {
	return &refusal{code, detail, fields}
}

// problemOf is how a code is answered.
func problemOf(code latchkey.Code) (status int, title string, terminal bool) {
	switch code {
	case latchkey.CodeInvalidRequest:
		return http.StatusBadRequest, "The request is malformed", false
	case latchkey.CodeContradiction:
		return http.StatusUnprocessableEntity, "Two values contradict each other", false
	case latchkey.CodeUnauthenticated:
		return http.StatusUnauthorized, "No valid credential was presented", false
	case latchkey.CodeSessionRevoked:
		return http.StatusUnauthorized, "The session was ended", true
	case latchkey.CodeSessionExpired:
		return http.StatusUnauthorized, "The session has expired", true
	case latchkey.CodeTokenReuse:
		return http.StatusUnauthorized, "A refresh token was used by two holders", true
	case latchkey.CodeForbidden:
		return http.StatusForbidden, "The credential doesn't allow this", false
	case latchkey.CodeNotFound:
		return http.StatusNotFound, "There is no such thing", false
	case latchkey.CodeRequestExpired:
		return http.StatusConflict, "The request was composed too long ago", false
	}
	return http.StatusInternalServerError, "Something went wrong on our side", false
}

// operation is what serves a request: an answer, or a refusal.
type operation func(r *http.Request) (any, *refusal)

func (i *Issuer) routes() http.Handler {
	mux := http.NewServeMux()
	user, manage := "/"+i.id, "/v1/projects/"+i.id
	for pattern, op := range map[string]operation{
		"POST " + user + "/session/refresh":                i.refresh,
		"POST " + user + "/session/ack":                    i.presenting(i.acknowledge),
		"POST " + user + "/session/logout":                 ended(i.presenting(i.logout)),
		"POST " + user + "/session/logout-others":          i.presenting(i.logoutOthers),
		"POST " + user + "/session/logout-all":             i.presenting(i.logoutAll),
		"GET " + user + "/session":                         i.bearing(i.own),
		"GET " + user + "/sessions":                        i.bearing(i.ownSessions),
		"DELETE " + user + "/sessions/{sid}":               i.bearing(i.endOwn),
		"POST " + user + "/access-keys/exchange":           i.exchange,
		"POST " + manage + "/sessions":                     i.managed(i.createSession),
		"GET " + manage + "/sessions/{sid}":                i.managed(i.getSession),
		"POST " + manage + "/sessions/{sid}/revoke":        i.managed(i.revokeSession),
		"POST " + manage + "/users/{user}/sessions/revoke": i.managed(i.revokeUser),
		"/": func(*http.Request) (any, *refusal) {
			return nil, refuse(latchkey.CodeNotFound, "latchkeytest has no such address.")
		},
	} {
		mux.Handle(pattern, i.answer(op))
	}
	mux.HandleFunc("GET "+user+"/.well-known/jwks.json", i.jwks)
	mux.HandleFunc("GET "+user+"/revocations", i.revocations)
	return mux
}

func (i *Issuer) answer(op operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, no := op(r)
		if no == nil {
			write(w, http.StatusOK, "application/json", v)
			return
		}
		writeRefusal(w, no)
	})
}

func writeRefusal(w http.ResponseWriter, no *refusal) {
	status, title, terminal := problemOf(no.code)
	write(w, status, "application/problem+json", latchkey.Problem{
		Type: "/docs/errors/" + string(no.code), Title: title, Status: status, Detail: no.detail, Code: no.code, Terminal: terminal,
		RequestID: newID("req"), Errors: no.fields,
	})
}

func write(w http.ResponseWriter, status int, media string, v any) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The error of a connection that broke can be told to nobody.
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	set := map[string][]map[string]string{"keys": {}}
	i.mu.Lock()
	for _, k := range i.keys {
		if k.revoked {
			continue
		}
		jwk, err := k.jwk()
		if err != nil {
			i.t.Errorf("latchkeytest: writing a key: %v", err)
			continue
		}
		set["keys"] = append(set["keys"], jwk)
	}
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_ = json.NewEncoder(w).Encode(set) // as in write
}

// maxBody is what is read of a request.
const maxBody = 1 << 20

func decodeBody(r *http.Request, into any) *refusal {
	var unknown []latchkey.FieldError
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		unknown = append(unknown, latchkey.FieldError{Pointer: "?" + name, Code: "unknown", Detail: "There is no such parameter."})
	}
	if len(unknown) > 0 {
		return refuse(latchkey.CodeInvalidRequest, "There are query parameters that nobody reads.", unknown...)
	}
	d := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) { // no body equals {}
		return refuse(latchkey.CodeInvalidRequest, "The body can't be read: "+err.Error())
	}
	return nil
}

func bearer(r *http.Request) string {
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return ""
	}
	return text
}

// presented is a token as it came in, and the key that came with it.
type presented struct {
	credential
	key string
}

// present reads the token of an end-user request. verify says that a key that only
// reads is enough. The caller holds the lock.
func (i *Issuer) present(r *http.Request, inBody string, verify bool) (presented, *refusal) {
	var p presented
	text := bearer(r)
	switch {
	case strings.HasPrefix(text, "lk_"):
		if text != i.key && text != i.verify {
			return p, refuse(latchkey.CodeUnauthenticated, "The key isn't one of the issuer's.")
		}
		if text == i.verify && !verify {
			return p, refuse(latchkey.CodeForbidden, `The key lacks the scope "sessions".`)
		}
		p.key, text = text, inBody
	case text == "":
		text = inBody
	case inBody != "" && inBody != text:
		return p, refuse(latchkey.CodeContradiction, "Two different tokens were sent.",
			latchkey.FieldError{Pointer: "/refreshToken", Code: "contradiction", Detail: "The Authorization header holds another token."})
	}
	if text == "" {
		return p, refuse(latchkey.CodeUnauthenticated, "A token is wanted, as Authorization: Bearer … or as refreshToken in the body.")
	}
	var err error
	p.credential, err = i.read(text)
	switch {
	case errors.Is(err, errKeyRevoked) && p.kind == typeSession:
		return p, refuse(latchkey.CodeUnauthenticated, "The key that signed this session token was revoked; refresh the session.")
	case errors.Is(err, errKeyRevoked):
		return p, refuse(latchkey.CodeSessionRevoked, "The key that signed this token was revoked, which ended its session; sign in again.")
	case err != nil:
		return p, unreadable()
	}
	return p, nil
}

func (i *Issuer) refresh(r *http.Request) (any, *refusal) {
	var body latchkey.RefreshBody
	no := decodeBody(r, &body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refreshes++
	readOnly := body.Rotate == "never"
	switch {
	case no != nil:
		return nil, no
	case body.Rotate != "" && !readOnly:
		return nil, refuse(latchkey.CodeInvalidRequest, `rotate can only be "never".`, latchkey.FieldError{Pointer: "/rotate", Code: "range", Detail: "Only never."})
	}
	p, no := i.present(r, body.RefreshToken, readOnly)
	switch {
	case no != nil:
		return nil, no
	case p.kind != typeRefresh:
		return nil, unreadable()
	case readOnly && p.key == "":
		return nil, refuse(latchkey.CodeForbidden, "rotate=never is for applications: send a key of the project in the Authorization header and the refresh token in the body.")
	case body.Device != nil && p.key == "":
		return nil, refuse(latchkey.CodeInvalidRequest, "Only an application may describe its user's client.",
			latchkey.FieldError{Pointer: "/device", Code: "unknown", Detail: "Send a key of the project in the Authorization header and the refresh token in the body, or leave it out."})
	}
	return i.rotate(p.credential, readOnly, body.ComposedAt, i.now())
}

func unreadable() *refusal {
	return refuse(latchkey.CodeUnauthenticated, "The token can't be read: it is altered, truncated, or not of this project.")
}

// presenting makes an operation of one with a token in the header or the body, which is
// run under the lock. The body is read before, since its sender may be slow.
func (i *Issuer) presenting(op func(p presented, now time.Time) (any, *refusal)) operation {
	return func(r *http.Request) (any, *refusal) {
		var body latchkey.TokenBody
		if no := decodeBody(r, &body); no != nil {
			return nil, no
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		p, no := i.present(r, body.RefreshToken, false)
		if no != nil {
			return nil, no
		}
		return op(p, i.now())
	}
}

// ended is a logout, to which a session that has ended already is no obstacle.
func ended(logout operation) operation {
	return func(r *http.Request) (any, *refusal) {
		v, no := logout(r)
		if no != nil && no.code == latchkey.CodeSessionRevoked {
			return struct{}{}, nil
		}
		return v, no
	}
}

func (i *Issuer) acknowledge(p presented, now time.Time) (any, *refusal) {
	s, no := i.identify(p.credential, now)
	if no != nil {
		return nil, no
	}
	return latchkey.Acknowledgement{Confirmed: i.arrived(s, p.token, now), ConfirmableAt: s.rotatedAt.Add(i.config.ReuseWindow).UTC()}, nil
}

func (i *Issuer) logout(p presented, now time.Time) (any, *refusal) {
	if p.kind == typeSession && !now.Before(p.expires) {
		return nil, refuse(latchkey.CodeUnauthenticated, "The session token has expired; log out with the refresh token.")
	}
	i.close(i.sessions[p.session], "logout", now)
	return struct{}{}, nil
}

func (i *Issuer) logoutOthers(p presented, now time.Time) (any, *refusal) {
	this, no := i.identify(p.credential, now)
	if no != nil {
		return nil, no
	}
	i.closeAll(this.user, "logout", this, now)
	return struct{}{}, nil
}

func (i *Issuer) logoutAll(p presented, now time.Time) (any, *refusal) {
	this, no := i.identify(p.credential, now)
	if this != nil && this.reason == "superseded" {
		return struct{}{}, nil // a repetition, of a request whose answer was lost
	}
	if no != nil {
		return nil, no
	}
	i.closeAll(this.user, "superseded", nil, now)
	return struct{}{}, nil
}

// bearing makes an operation of one with a token in the header and no body.
func (i *Issuer) bearing(op func(r *http.Request, p presented, this *session, now time.Time) (any, *refusal)) operation {
	return func(r *http.Request) (any, *refusal) {
		i.mu.Lock()
		defer i.mu.Unlock()
		p, no := i.present(r, "", false)
		if no != nil {
			return nil, no
		}
		now := i.now()
		this, no := i.identify(p.credential, now)
		if no != nil {
			return nil, no
		}
		return op(r, p, this, now)
	}
}

func (i *Issuer) own(_ *http.Request, p presented, this *session, now time.Time) (any, *refusal) {
	out := latchkey.OwnSession{Session: i.view(this), TokenKind: "session", Claims: p.claims, ExpiresAt: p.expires, ServerTime: now.UTC()}
	out.Session.Current = true
	if p.kind == typeRefresh {
		out.TokenKind = "refresh"
	}
	return out, nil
}

func (i *Issuer) ownSessions(_ *http.Request, _ presented, this *session, now time.Time) (any, *refusal) {
	out := latchkey.SessionList{Sessions: []latchkey.Session{}}
	for _, s := range i.sessions {
		if s.user == this.user && i.over(s, now) == nil {
			v := i.view(s)
			v.Current = s == this
			out.Sessions = append(out.Sessions, v)
		}
	}
	slices.SortFunc(out.Sessions, func(a, b latchkey.Session) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) // newest first
	})
	return out, nil
}

func (i *Issuer) endOwn(r *http.Request, _ presented, this *session, now time.Time) (any, *refusal) {
	s := i.sessions[r.PathValue("sid")]
	if s == nil || s.user != this.user {
		return nil, refuse(latchkey.CodeNotFound, "You have no such session.")
	}
	i.close(s, "logout", now)
	return struct{}{}, nil
}
