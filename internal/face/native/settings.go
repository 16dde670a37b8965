package native

import (
	"encoding/json"
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

func (f *Face) settingsRoutes() []Route {
	scope := directory.ScopeSettings
	path := "/v1/projects/{project}/settings"
	return []Route{
		{
			Method: "GET", Pattern: path, ID: "getSettings", Tag: tagSettings, Scope: scope,
			Summary: "The project's settings", Answer: latchkey.SettingsAnswer{}, serve: f.managed(scope, f.getSettings),
		},
		{
			Method: "PATCH", Pattern: path, ID: "changeSettings", Tag: tagSettings, Scope: scope,
			Summary: "Change settings", About: "A JSON merge patch (RFC 7396): members left out stay, null puts a default back. Nothing changes unless everything fits.",
			Body: latchkey.Settings{}, Answer: latchkey.SettingsAnswer{},
			Codes: []latchkey.Code{latchkey.CodeOutOfRange, latchkey.CodeContradiction, latchkey.CodeConflict},
			serve: f.managed(scope, f.changeSettings),
		},
	}
}

func (f *Face) getSettings(w http.ResponseWriter, r *http.Request, c caller) error {
	answer, err := f.d.Directory.Settings(r.Context(), c.project)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, answer)
}

func (f *Face) changeSettings(w http.ResponseWriter, r *http.Request, c caller) error {
	var patch json.RawMessage
	if err := wire.Decode(r, wire.MaxBody, &patch); err != nil {
		return err
	}
	answer, err := f.d.Directory.ChangeSettings(r.Context(), c.project, patch, c.origin)
	if err != nil {
		return err
	}
	// The keys have to know of a longer token life at once. Should this fail, the next
	// round of the server's workers does it.
	_, _ = f.d.Keys.Tend(r.Context(), c.project)
	return wire.JSON(w, http.StatusOK, answer)
}
