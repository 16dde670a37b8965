package native

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// specification is what the page shows of the OpenAPI document.
type specification struct {
	Info struct {
		Title, Version, Description string
	}
	Servers []struct{ URL string }
	Tags    []struct {
		Name, Description string
	}
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]*schema
	}
}

type operation struct {
	Summary, Description string
	Parameters           []parameter
	Security             []map[string][]string
	RequestBody          *struct{ Content map[string]content }
	Responses            map[string]struct {
		Content map[string]content
		Codes   []string `json:"x-codes"`
	}
}

type parameter struct {
	Name, Description, Example string
	Required                   bool
	Schema                     *schema
}

type content struct {
	Schema  *schema
	Example json.RawMessage
}

// reference is the page: what its template reads.
type reference struct {
	Title, Version, Server string
	Style                  template.CSS
	About                  []string
	Groups                 []group
	Refusals               []wire.CodeInfo
	Types                  []shape
}

type group struct {
	Name, Anchor, About string
	Operations          []entry
}

type entry struct {
	ID, Method, Path, Summary, About, Credential, Status, Example string
	Parameters                                                    *shape
	Body                                                          *shape
	Answer                                                        shape
	Problems                                                      []refusals
}

type refusals struct {
	Status string
	Codes  []string
}

// newReference reads the document again, so that people and programs are told the same.
// The routes say in which order: the document's objects have none.
func newReference(spec []byte, order []Route) (reference, error) {
	var d specification
	if err := json.Unmarshal(spec, &d); err != nil {
		return reference{}, fmt.Errorf("native: reading the OpenAPI document: %w", err)
	}
	page := reference{
		Title: d.Info.Title, Version: d.Info.Version, Server: d.Servers[0].URL, Style: style(),
		About: strings.Split(d.Info.Description, "\n\n"), Refusals: wire.Codes(),
	}
	for _, tag := range d.Tags {
		g := group{Name: tag.Name, Anchor: strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-"), About: tag.Description}
		for _, r := range order {
			if r.Tag == tag.Name {
				g.Operations = append(g.Operations, d.entry(r, page.Server))
			}
		}
		page.Groups = append(page.Groups, g)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		page.Types = append(page.Types, d.named(name))
	}
	return page, nil
}

func (d specification) entry(r Route, server string) entry {
	op := d.Paths[r.Pattern][strings.ToLower(r.Method)]
	e := entry{
		ID: r.ID, Method: r.Method, Path: r.Pattern, Summary: op.Summary, About: op.Description,
		Credential: op.credential(), Example: curl(r, op, server),
	}
	if r.Scope != "" {
		e.Credential = "" // the description says it
	}
	if len(op.Parameters) > 0 {
		e.Parameters = &shape{Label: "Parameters of " + r.ID}
	}
	for _, p := range op.Parameters {
		e.Parameters.Members = append(e.Parameters.Members, member{
			Name: p.Name, Optional: !p.Required, Kind: p.Schema.kind(), About: sentences(p.Description, p.Schema.limits()),
		})
	}
	if op.RequestBody != nil {
		body := d.shape("Body of "+r.ID, op.RequestBody.Content)
		e.Body = &body
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		answer := op.Responses[status]
		if len(answer.Codes) > 0 {
			e.Problems = append(e.Problems, refusals{status, answer.Codes})
			continue
		}
		e.Status, e.Answer = status, d.shape("Answer of "+r.ID, answer.Content)
	}
	return e
}

// credential says what the Authorization header holds.
func (op operation) credential() string {
	var ways []string
	for _, way := range op.Security {
		switch {
		case way[schemeManagement] != nil:
			ways = append(ways, "a management key with the scope "+strings.Join(way[schemeManagement], ", "))
		case way[schemeToken] != nil:
			ways = append(ways, "a session or refresh token")
		case way[schemeAccess] != nil:
			ways = append(ways, "an access key")
		default:
			ways = append(ways, "none")
		}
	}
	return strings.Join(ways, ", or ")
}

// curl returns the operation as a command, with variables of the shell for secrets.
func curl(r Route, op operation, server string) string {
	path := r.Pattern
	for _, p := range op.Parameters {
		path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
	}
	parts := []string{"curl"}
	if r.Method != "GET" {
		parts[0] += " -X " + r.Method
	}
	parts[0] += " '" + server + path + "'"
	switch {
	case r.Scope != "":
		parts = append(parts, `-H "Authorization: Bearer $MANAGEMENT_KEY"`)
	case r.Tag == tagAccess:
		parts = append(parts, `-H "Authorization: Bearer $ACCESS_KEY"`)
	case r.forUsers():
		parts = append(parts, `-H "Authorization: Bearer $REFRESH_TOKEN"`)
	}
	if op.RequestBody != nil && !r.forUsers() {
		parts = append(parts, "-H 'Content-Type: application/json'")
		parts = append(parts, "-d '"+string(op.RequestBody.Content[jsonMedia].Example)+"'")
	}
	return strings.Join(parts, " \\\n  ")
}
