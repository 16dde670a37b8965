package native

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

func (f *Face) managementKeyRoutes() []Route {
	scope := directory.ScopeKeys
	path := "/v1/projects/{project}/management-keys"
	return []Route{
		{
			Method: "POST", Pattern: path, ID: "createManagementKey", Tag: tagManagement, Scope: scope,
			Summary: "Make a management key; its secret is shown this once", Body: latchkey.ManagementKeyRequest{}, Answer: latchkey.NewManagementKey{},
			Status: http.StatusCreated, Codes: []latchkey.Code{latchkey.CodeForbidden}, serve: f.managed(scope, f.createManagementKey),
		},
		{
			Method: "GET", Pattern: path, ID: "listManagementKeys", Tag: tagManagement, Scope: scope,
			Summary: "List management keys", Query: wire.Page{}, Answer: latchkey.ManagementKeyList{}, serve: f.managed(scope, f.listManagementKeys),
		},
		{
			Method: "POST", Pattern: path + "/{key}/rotate", ID: "rotateManagementKey", Tag: tagManagement, Scope: scope,
			Summary: "Give a key a new secret; the old one ends at once", Body: nothing{}, Answer: latchkey.NewManagementKey{},
			Codes: []latchkey.Code{latchkey.CodeForbidden}, serve: f.managed(scope, f.rotateManagementKey),
		},
		{
			Method: "DELETE", Pattern: path + "/{key}", ID: "deleteManagementKey", Tag: tagManagement, Scope: scope,
			Summary: "Delete a key; it is refused from then on", Answer: nothing{},
			Codes: []latchkey.Code{latchkey.CodeForbidden}, serve: f.managed(scope, f.deleteManagementKey),
		},
	}
}

func (f *Face) createManagementKey(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.ManagementKeyRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	in, err := newKey(body)
	if err != nil {
		return err
	}
	k, clear, err := f.d.Directory.CreateKey(r.Context(), c.project, in, c.key, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, latchkey.NewManagementKey{Key: renderManagementKey(k), Secret: clear.Reveal()})
}

func newKey(b latchkey.ManagementKeyRequest) (directory.NewKey, error) {
	in := directory.NewKey{Name: b.Name, Kind: secret.KeyKind(b.Kind), ExpiresAt: b.ExpiresAt}
	for _, s := range b.Scopes {
		in.Scopes = append(in.Scopes, directory.Scope(s))
	}
	var bad []fault.Field
	if in.Networks, bad = readNetworks(b.Networks); len(bad) > 0 {
		return in, fault.New(fault.Invalid, "The management key can't be made like this.").WithFields(bad...)
	}
	return in, nil
}

// readNetworks reads the networks from which a key may be used.
func readNetworks(list []string) (networks []netip.Prefix, bad []fault.Field) {
	for i, text := range list {
		n, wrong := directory.ParseNetwork(text)
		if wrong != "" {
			bad = append(bad, fault.Field{Pointer: fmt.Sprintf("/networks/%d", i), Code: "format", Detail: wrong})
		}
		networks = append(networks, n)
	}
	return networks, bad
}

func (f *Face) listManagementKeys(w http.ResponseWriter, r *http.Request, c caller) error {
	var page wire.Page
	if err := wire.Query(r, &page); err != nil {
		return err
	}
	var after id.ManagementKey
	if err := cursor(page, after[:]); err != nil {
		return err
	}
	keys, err := f.d.Directory.Keys(r.Context(), c.project, after, page.Size+1)
	if err != nil {
		return err
	}
	out := latchkey.ManagementKeyList{Keys: []latchkey.ManagementKey{}}
	for i, k := range keys {
		if i == page.Size {
			last := keys[i-1].ID
			out.NextPageToken = wire.EncodePage(last[:])
			break
		}
		out.Keys = append(out.Keys, renderManagementKey(k))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func pathManagementKey(r *http.Request) (id.ManagementKey, error) {
	k, err := id.ParseManagementKey(r.PathValue("key"))
	if err != nil {
		return k, fault.New(fault.NotFound, "This project has no such management key.")
	}
	return k, nil
}

func (f *Face) rotateManagementKey(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	k, err := pathManagementKey(r)
	if err != nil {
		return err
	}
	changed, clear, err := f.d.Directory.RotateKey(r.Context(), c.project, k, c.key, c.origin)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, latchkey.NewManagementKey{Key: renderManagementKey(changed), Secret: clear.Reveal()})
}

func (f *Face) deleteManagementKey(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	k, err := pathManagementKey(r)
	if err != nil {
		return err
	}
	if err := f.d.Directory.DeleteKey(r.Context(), c.project, k, c.key, c.origin); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, nothing{})
}
