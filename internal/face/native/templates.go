package native

import (
	"context"
	"encoding/binary"
	"net/http"
	"strconv"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

func (f *Face) templateRoutes() []Route {
	scope := directory.ScopeSettings
	path := "/v1/projects/{project}/templates/{kind}"
	refusals := []latchkey.Code{latchkey.CodeTemplateInvalid, latchkey.CodeClaimsTooLarge}
	return []Route{
		{
			Method: "GET", Pattern: path, ID: "getTemplate", Tag: tagTemplates, Scope: scope,
			Summary: "The versions that are in use", About: "The kind is user or accessKey, for templates, or signIn, for sign-in actions.",
			Answer: latchkey.Template{}, serve: f.managed(scope, f.getTemplate),
		},
		{
			Method: "PUT", Pattern: path, ID: "saveTemplate", Tag: tagTemplates, Scope: scope,
			Summary: "Save a new version, for all sessions or for a share of them",
			About:   "Nothing is saved unless the document compiles and what it makes fits into the tokens of the sample and of the largest live sessions, or access keys. A session's tokens are outdated if it gets another version: the next refresh shows it.",
			Body:    latchkey.TemplateRequest{}, Answer: latchkey.Template{}, Codes: refusals, serve: f.managed(scope, f.saveTemplate),
		},
		{
			Method: "DELETE", Pattern: path, ID: "deleteTemplate", Tag: tagTemplates, Scope: scope,
			Summary: "Delete all versions of a kind", Answer: nothing{}, serve: f.managed(scope, f.deleteTemplate),
		},
		{
			Method: "POST", Pattern: path + "/rollout", ID: "rollOutTemplate", Tag: tagTemplates, Scope: scope,
			Summary: "Give the candidate to another share of the sessions", Body: latchkey.RolloutRequest{}, Answer: latchkey.Template{},
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.rollOutTemplate),
		},
		{
			Method: "POST", Pattern: path + "/rollback", ID: "rollBackTemplate", Tag: tagTemplates, Scope: scope,
			Summary: "Go one step back: drop the candidate, or else make the version before the stable one stable", Body: nothing{}, Answer: latchkey.Template{},
			Codes: []latchkey.Code{latchkey.CodeConflict}, serve: f.managed(scope, f.rollBackTemplate),
		},
		{
			Method: "GET", Pattern: path + "/versions", ID: "listTemplateVersions", Tag: tagTemplates, Scope: scope,
			Summary: "List versions", Query: wire.Page{}, Answer: latchkey.TemplateVersionList{}, serve: f.managed(scope, f.listTemplateVersions),
		},
		{
			Method: "GET", Pattern: path + "/versions/{version}", ID: "getTemplateVersion", Tag: tagTemplates, Scope: scope,
			Summary: "One version", Answer: latchkey.TemplateVersion{}, serve: f.managed(scope, f.getTemplateVersion),
		},
		{
			Method: "POST", Pattern: path + "/preview", ID: "previewTemplate", Tag: tagTemplates, Scope: scope,
			Summary: "What a document makes of a live session, or of somebody made up",
			About:   "Nothing is changed. For a live session the key needs the scopes sessions and users, too, since expressions show all of it. The claims are those that the next token would carry, and the diff is against those that it would carry without the given document.",
			Body:    latchkey.TemplatePreviewRequest{}, Answer: latchkey.TemplatePreview{},
			Codes: []latchkey.Code{latchkey.CodeTemplateInvalid, latchkey.CodeContradiction, latchkey.CodeConflict}, serve: f.managed(scope, f.previewTemplate),
		},
	}
}

func pathKind(r *http.Request) document.Kind { return document.Kind(r.PathValue("kind")) }

func (f *Face) getTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	state, versions, err := f.d.Documents.Find(r.Context(), c.project, pathKind(r))
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderTemplate(pathKind(r), state, versions))
}

// showTemplate answers with what a change has made.
func (f *Face) showTemplate(ctx context.Context, w http.ResponseWriter, c caller, k document.Kind, state document.State) error {
	var versions []document.Version
	for _, n := range []int{state.Candidate, state.Stable} {
		if n == 0 {
			continue
		}
		v, err := f.d.Documents.Version(ctx, c.project, k, n)
		if fault.KindOf(err) == fault.NotFound {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		versions = append(versions, v)
	}
	return wire.JSON(w, http.StatusOK, renderTemplate(k, state, versions))
}

func renderTemplate(k document.Kind, s document.State, versions []document.Version) latchkey.Template {
	out := latchkey.Template{Kind: latchkey.TemplateKind(k), Percent: s.Percent, Previous: s.Previous}
	for _, v := range versions {
		shown := renderVersion(v)
		if v.N == s.Stable {
			out.Stable = &shown
		} else if v.N == s.Candidate {
			out.Candidate = &shown
		}
	}
	return out
}

func renderVersion(v document.Version) latchkey.TemplateVersion {
	return latchkey.TemplateVersion{Version: v.N, Document: v.Document, Comment: v.Comment, CreatedAt: v.CreatedAt, Actor: string(v.Actor)}
}

func (f *Face) saveTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.TemplateRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return unknown.With(f.d.Tokens.CheckDocument(r.Context(), c.project, pathKind(r), body.Document, body.Sample))
	}
	draft := document.Draft{Document: body.Document, Percent: document.Shares, Comment: body.Comment, Sample: body.Sample}
	if body.Percent != nil {
		draft.Percent = *body.Percent
	}
	state, _, err := f.d.Documents.Save(r.Context(), c.project, pathKind(r), draft, c.origin)
	if err != nil {
		return err
	}
	return f.showTemplate(r.Context(), w, c, pathKind(r), state)
}

func (f *Face) deleteTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	if err := f.d.Documents.Delete(r.Context(), c.project, pathKind(r), c.origin); err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, nothing{})
}

func (f *Face) rollOutTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.RolloutRequest
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	state, err := f.d.Documents.RollOut(r.Context(), c.project, pathKind(r), *body.Percent, c.origin)
	if err != nil {
		return err
	}
	return f.showTemplate(r.Context(), w, c, pathKind(r), state)
}

func (f *Face) rollBackTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
		return err
	}
	state, err := f.d.Documents.RollBack(r.Context(), c.project, pathKind(r), c.origin)
	if err != nil {
		return err
	}
	return f.showTemplate(r.Context(), w, c, pathKind(r), state)
}

// cursorLen is the length of an identifier, which is what other lists go on from.
const cursorLen = 16

func (f *Face) listTemplateVersions(w http.ResponseWriter, r *http.Request, c caller) error {
	var page wire.Page
	if err := wire.Query(r, &page); err != nil {
		return err
	}
	cursor, err := page.Cursor()
	if err != nil {
		return err
	}
	// As long as those of other lists: a place in one of them is a place here, too.
	before := 0
	if len(cursor) == cursorLen {
		before = int(binary.BigEndian.Uint64(cursor[cursorLen-8:])>>1) + 1
	}
	if cursor != nil && before == 0 {
		return fault.New(fault.Invalid, "The page token isn't one that this list returned.").
			WithFields(fault.Field{Pointer: "?pageToken", Code: "format", Detail: "Use the nextPageToken of the previous answer as it is."})
	}
	versions, err := f.d.Documents.List(r.Context(), c.project, pathKind(r), before, page.Size+1)
	if err != nil {
		return err
	}
	out := latchkey.TemplateVersionList{Versions: []latchkey.TemplateVersion{}}
	for i, v := range versions {
		if i == page.Size {
			cursor := make([]byte, cursorLen)
			binary.BigEndian.PutUint64(cursor[cursorLen-8:], uint64(versions[i-1].N-1)<<1)
			out.NextPageToken = wire.EncodePage(cursor)
			break
		}
		out.Versions = append(out.Versions, renderVersion(v))
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) getTemplateVersion(w http.ResponseWriter, r *http.Request, c caller) error {
	n, err := strconv.Atoi(r.PathValue("version"))
	if err != nil {
		return fault.New(fault.NotFound, "There is no such version.")
	}
	v, err := f.d.Documents.Version(r.Context(), c.project, pathKind(r), n)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, renderVersion(v))
}

func (f *Face) previewTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.TemplatePreviewRequest
	unknown, err := wire.DecodeKnown(r, wire.MaxBody, &body)
	if err != nil {
		return err
	}
	in := token.Preview{Project: c.project, Kind: pathKind(r), Document: body.Document, Sample: body.Sample}
	if body.Session != "" {
		if err := c.sees(); err != nil {
			return unknown.With(err)
		}
		sid, err := id.ParseSession(body.Session)
		if err != nil {
			return unknown.With(fault.New(fault.NotFound, "This project has no such session."))
		}
		in.Session = sid
	}
	p, err := f.d.Tokens.Preview(r.Context(), in)
	if err != nil || len(unknown) > 0 {
		return unknown.With(err)
	}
	return wire.JSON(w, http.StatusOK, renderPreview(p))
}

// sees refuses a key for which a live session is none of its business: an expression of a
// document that is previewed shows everything of the session and its user.
func (c caller) sees() error {
	for _, scope := range []directory.Scope{directory.ScopeSessions, directory.ScopeUsers} {
		if !c.key.May(scope) {
			return fault.New(fault.Forbidden, "The management key lacks the scope %q, which a preview of a live session needs.", scope).WithFields(
				fault.Field{Pointer: "/session", Code: "unknown", Detail: "Leave it out and give a sample, or use a key that has the scope."})
		}
	}
	return nil
}

func renderPreview(p token.Previewed) latchkey.TemplatePreview {
	out := latchkey.TemplatePreview{
		Claims: p.Claims, Custom: p.Custom, Diff: []latchkey.ClaimDifference{}, Problems: []latchkey.FieldError{},
		Bytes: latchkey.TemplateBytes{Total: p.Size, Limit: p.Limit, Claims: map[string]int{}},
	}
	for _, d := range p.Diff {
		shown := latchkey.ClaimDifference{Path: d.Path}
		if d.Before != nil {
			shown.Before = d.Before
		}
		if d.After != nil {
			shown.After = d.After
		}
		out.Diff = append(out.Diff, shown)
	}
	for _, part := range p.Parts {
		out.Bytes.Claims[part.Name] = part.Bytes
	}
	for _, f := range p.Problems {
		out.Problems = append(out.Problems, latchkey.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: f.Detail})
	}
	if o := p.Outcome; o != nil {
		out.Action, out.Requires = o.Action, string(o.Require)
		out.Lifetime, out.Idle = latchkey.Duration(o.Lifetime), latchkey.Duration(o.Idle)
		out.Denied = renderDenial(o.Deny)
	}
	return out
}

func renderDenial(d *template.Denial) *latchkey.TemplateDenial {
	if d == nil {
		return nil
	}
	return &latchkey.TemplateDenial{Code: d.Code, Message: d.Message}
}
