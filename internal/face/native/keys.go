package native

import (
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func (f *Face) keyRoutes() []Route {
	scope := directory.ScopeKeys
	path := "/v1/projects/{project}/keys"
	return []Route{
		{
			Method: "GET", Pattern: path, ID: "listKeys", Tag: tagKeys, Scope: scope,
			Summary: "The signing keys, without their private parts", Answer: latchkey.SigningKeyList{}, serve: f.managed(scope, f.listKeys),
		},
		{
			Method: "POST", Pattern: path + "/rotate", ID: "rotateKey", Tag: tagKeys, Scope: scope,
			Summary: "Replace the active key; the new one is published a day before it signs", Body: latchkey.RotateKeyRequest{}, Answer: latchkey.SigningKey{},
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.rotateKey),
		},
		{
			Method: "POST", Pattern: path + "/{kid}/revoke", ID: "revokeKey", Tag: tagKeys, Scope: scope,
			Summary: "Take a key out at once and end every session whose refresh token it signed",
			Body:    nothing{}, Answer: latchkey.RevokedKey{}, Codes: []latchkey.Code{latchkey.CodeConflict},
			serve: f.managed(scope, f.revokeKey),
		},
	}
}

func (f *Face) listKeys(w http.ResponseWriter, r *http.Request, c caller) error {
	keys, err := f.d.Keys.List(r.Context(), c.project)
	if err != nil {
		return err
	}
	out := latchkey.SigningKeyList{Keys: []latchkey.SigningKey{}}
	for _, k := range keys {
		out.Keys = append(out.Keys, renderKey(k))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) rotateKey(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.RotateKeyRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	rotate := f.d.Keys.Rotate
	if body.Immediate {
		rotate = f.d.Keys.RotateNow
	}
	k, err := rotate(r.Context(), c.project, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderKey(k))
}

func (f *Face) revokeKey(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	kid, err := id.ParseKey(r.PathValue("kid"))
	if err != nil {
		return fault.New(fault.NotFound, "This project has no such signing key.")
	}
	k, err := f.d.Keys.Revoke(r.Context(), c.project, kid, c.origin)
	if err != nil {
		return err
	}
	// The key is out already, so its tokens are refused from here on; this makes the
	// sessions say so too, also those with opaque refresh tokens.
	n, err := f.d.Sessions.EndMatching(r.Context(), session.Filter{Project: c.project, SigningKey: kid},
		session.Ending{Reason: session.KeyRevoked, Origin: c.origin})
	if err != nil {
		return err
	}
	f.d.Counter.SessionsEnded(session.KeyRevoked, n)
	return wire.JSON(w, http.StatusOK, latchkey.RevokedKey{Key: renderKey(k), Revoked: n})
}
