package latchkeytest

import (
	"encoding/json"
	"net/http"

	"github.com/latchkey-dev/latchkey"
)

// managed makes an operation of one that needs the management key and is run under the
// lock.
func (i *Issuer) managed(op operation) operation {
	return func(r *http.Request) (any, *refusal) {
		switch bearer(r) {
		case i.key:
		case i.verify:
			return nil, refuse(latchkey.CodeForbidden, `The key lacks the scope "sessions".`)
		default:
			return nil, refuse(latchkey.CodeUnauthenticated, "A management key is wanted: Authorization: Bearer lk_mgmt_…")
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		return op(r)
	}
}

// createSession signs a user in: whoever is named, or has the first login id.
func (i *Issuer) createSession(r *http.Request) (any, *refusal) {
	var body latchkey.SignInRequest
	if no := decodeBody(r, &body); no != nil {
		return nil, no
	}
	user, no := userOf(body.User)
	if no != nil {
		return nil, no
	}
	if len(body.AMR) == 0 {
		return nil, refuse(latchkey.CodeInvalidRequest, "It isn't said how the user signed in.", latchkey.FieldError{Pointer: "/amr", Code: "required", Detail: "At least one method is wanted."})
	}
	claims := Claims{"amr": body.AMR}
	if len(body.Claims) > 0 {
		if err := json.Unmarshal(body.Claims, &claims); err != nil {
			return nil, refuse(latchkey.CodeInvalidRequest, "The claims aren't an object.", latchkey.FieldError{Pointer: "/claims", Code: "type", Detail: "An object is wanted."})
		}
	}
	if len(body.NSec) > 0 {
		claims["nsec"] = body.NSec
	}
	if len(body.Audience) > 0 {
		claims["aud"] = append([]string{i.id}, body.Audience...)
	}
	now := i.now()
	if body.RevokeOthers {
		i.closeAll(user, "revoked", nil, now)
	}
	set := i.signIn(user, claims)
	s := i.sessions[set.Session.ID]
	s.amr, s.device = body.AMR, latchkey.Device{Name: body.Device.Name, IP: body.Device.IP, UserAgent: body.Device.UserAgent}
	if life := body.Lifetime.Std(); life > 0 && life < i.config.SessionTTL {
		s.expires = now.Add(life)
		i.succeed(s, "", now) // with the other expiry
	}
	return i.tokenSet(s, s.newest, s.text, now), nil
}

func userOf(ref latchkey.UserReference) (string, *refusal) {
	var name string
	if json.Unmarshal(ref.RawMessage, &name) == nil && name != "" {
		return name, nil
	}
	var described latchkey.SignInUser
	if json.Unmarshal(ref.RawMessage, &described) == nil && described.LoginIDs != nil && len(*described.LoginIDs) > 0 {
		return (*described.LoginIDs)[0], nil
	}
	return "", refuse(latchkey.CodeInvalidRequest, "The user can't be read.", latchkey.FieldError{Pointer: "/user", Code: "required", Detail: "A user id, a login id or a user object is wanted."})
}

func (i *Issuer) getSession(r *http.Request) (any, *refusal) {
	s := i.sessions[r.PathValue("sid")]
	if s == nil {
		return nil, refuse(latchkey.CodeNotFound, "This project has no such session.")
	}
	return i.view(s), nil
}

func (i *Issuer) revokeSession(r *http.Request) (any, *refusal) {
	s := i.sessions[r.PathValue("sid")]
	if s == nil {
		return nil, refuse(latchkey.CodeNotFound, "This project has no such session.")
	}
	out := latchkey.EndedSessions{}
	if i.close(s, "revoked", i.now()) {
		out.Revoked = 1
	}
	return out, nil
}

func (i *Issuer) revokeUser(r *http.Request) (any, *refusal) {
	return latchkey.EndedSessions{Revoked: i.closeAll(r.PathValue("user"), "revoked", nil, i.now())}, nil
}
