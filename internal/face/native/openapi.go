package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go"
	"github.com/swaggest/openapi-go/openapi31"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

const (
	jsonMedia    = "application/json"
	problemMedia = "application/problem+json"

	schemeManagement = "managementKey"
	schemeToken      = "token"
	schemeAccess     = "accessKey"
	schemeCookie     = "cookie"
)

const apiAbout = `Sessions for applications: sign a user in, refresh, check, revoke.

Bodies are JSON with camelCase names; unknown members are refused, a member that is null counts as absent, and no body equals {}. Bodies over 1 MiB are refused. Times are RFC 3339 in UTC, durations strings such as "10m" or "28d". Identifiers are opaque, at most 31 characters of letters, digits, '_' and '-'. Answers may get further members.

Refusals are problems of RFC 9457. Decide by code, never by detail, and drop tokens only when terminal is true.

Credentials are never taken from a URL. Every answer that carries a token has Cache-Control: no-store.`

var tagAbout = []struct{ name, about string }{
	{tagTokens, "What an end user's client asks for with its session or refresh token. Bounded for each network."},
	{tagDiscovery, "Keys and metadata for those who verify tokens. Public."},
	{tagRevocations, "What those who verify tokens by themselves have to know beside the keys: which tokens are not to be believed any more although they haven't expired."},
	{tagSessions, "Sign users in, look at sessions, end them. For applications."},
	{tagUsers, "Who can have sessions, and what they are granted: roles in the project, and memberships in tenants with roles there."},
	{tagTenants, "The customer organisations of the application, of which users are members."},
	{tagRoles, "What users can be granted: roles, which are named lists of permissions, and the catalogue of permissions."},
	{tagSettings, "What the project decides."},
	{tagKeys, "The keys that sign tokens, and their life cycle."},
	{tagEvents, "The audit log."},
	{tagTemplates, "What session tokens carry of the project's own, and what is asked of a sign-in: documents with expressions, in versions."},
	{tagWebhooks, "Addresses of applications to which events are sent, signed as the Standard Webhooks specification says."},
	{tagManagement, "The credentials of applications."},
	{tagAccess, "Machines with grants of their own: each exchanges its key for session tokens."},
}

var pathAbout = map[string]struct{ about, example string }{
	"project":    {"The project's id.", "prj_01kkaj7v9w7q5c0v8m3nf2s4hd"},
	"sid":        {"The session's id.", "ses_01kkaj7vbn3yk2m6t9qdh0x5rw"},
	"user":       {"The user's id.", "usr_01kkaj7vc8fz4ge1p7s2w6vbnj"},
	"tenant":     {"The tenant's id.", "ten_01kkaj7vce4sb0m5r8t9wz2dxq"},
	"role":       {"The role's id.", "role_01kkaj7vcr7gd3c1n6v0p4jhey"},
	"permission": {"The permission's name, percent-encoded.", "invoice:read"},
	"key":        {"The management key's id. Not its secret.", "mk_01kkaj7vd1hn8rc5j0xt3zqey9"},
	"accessKey":  {"The access key's id. Not its secret.", "ak_01kkaj7ve2xr5dq8t0n4ws6jmb"},
	"kid":        {"The signing key's id: the kid of its JWK.", "key_01kkaj7vdq6bm9sa2w4fy8tkcp"},
	"kind":       {"user or accessKey, for templates; signIn, for sign-in actions.", "user"},
	"version":    {"The number of a version.", "3"},
	"webhook":    {"The webhook's id.", "wh_01kkaj7ve2d4gm7xq0tn5s8rbw"},
	"event":      {"The event's id.", "evt_01kkaj7vexw3rk9c6b1zp8yhfd"},
}

// describe makes the OpenAPI document of the routes, and the page for people from it.
// It fails for routes that can't be described, which only a change of the code can
// cause.
func describe(routes []Route, publicURL, version string) (spec, page []byte, err error) {
	r := openapi31.NewReflector()
	r.DefaultOptions = append(r.DefaultOptions, schemaOptions)
	s := r.SpecEns()
	s.Info.WithTitle("Latchkey").WithVersion(version).WithDescription(apiAbout)
	s.WithServers(openapi31.Server{URL: publicURL})
	for _, t := range tagAbout {
		s.Tags = append(s.Tags, *(&openapi31.Tag{}).WithName(t.name).WithDescription(t.about))
	}
	s.SetHTTPBearerTokenSecurity(schemeManagement, "", "A key of an application (lk_mgmt_… or lk_verify_…) that has the scope which the operation names.")
	s.SetHTTPBearerTokenSecurity(schemeToken, "", "A session token or refresh token of an end user. Where the body may hold the refresh token, the header may also be absent, or hold the management key of an application that acts for the user.")
	s.SetHTTPBearerTokenSecurity(schemeAccess, "", "An access key (lk_ak_…).")
	_, refreshCookie := policy.CookieNames(policy.Defaults().Cookies)
	s.SetAPIKeySecurity(schemeCookie, refreshCookie, openapi.InCookie, "The refresh token of a browser, of a project that delivers by cookie; name and attributes are settings. The session token's cookie is taken where a session token is. Requests that change something must come from the server's own origin or one of approvedOrigins.")
	if err := describeShared(r); err != nil {
		return nil, nil, err
	}
	for _, route := range routes {
		if err := route.describe(r); err != nil {
			return nil, nil, fmt.Errorf("native: describing %s %s: %w", route.Method, route.Pattern, err)
		}
	}
	if spec, err = json.Marshal(s); err != nil {
		return nil, nil, fmt.Errorf("native: encoding the OpenAPI document: %w", err)
	}
	page, err = renderPage(spec, routes)
	return spec, page, err
}

// forUsers reports whether the route is for end users with a token of theirs.
func (r Route) forUsers() bool { return r.Tag == tagTokens }

// All returns every code that the route may answer with: its own, and those that follow
// from how it is called.
func (r Route) All() []latchkey.Code {
	all := []latchkey.Code{latchkey.CodeNotFound, latchkey.CodeInternal, latchkey.CodeUnavailable, latchkey.CodeTokenInURL}
	if r.forUsers() || r.Scope != "" {
		all = append(all, latchkey.CodeInvalidRequest, latchkey.CodeTooLarge,
			latchkey.CodeUnauthenticated, latchkey.CodeForbidden)
	}
	for _, c := range r.Codes {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

func (r Route) describe(to *openapi31.Reflector) error {
	oc, err := to.NewOperationContext(r.Method, r.Pattern)
	if err != nil {
		return err
	}
	exposed, ok := oc.(openapi31.OperationExposer)
	if !ok {
		return fmt.Errorf("the operation isn't exposed by %T", oc)
	}
	op := exposed.Operation()
	oc.SetID(r.ID)
	oc.SetTags(r.Tag)
	oc.SetSummary(r.Summary)
	if about := r.about(); about != "" {
		oc.SetDescription(about)
	}
	r.secure(oc, op)
	if err := r.pathParameters(op); err != nil {
		return err
	}
	if r.Query != nil {
		oc.AddReqStructure(r.Query)
	}
	if r.Body != nil {
		oc.AddReqStructure(r.Body)
	}
	oc.AddRespStructure(r.Answer, openapi.WithHTTPStatus(r.status()), openapi.WithContentType(r.media()), r.answer)
	if err := r.problems(oc); err != nil {
		return err
	}
	if err := to.AddOperation(oc); err != nil {
		return err
	}
	r.refine(op)
	return nil
}

// answer describes what has no members, which reflection leaves out.
func (r Route) answer(cu *openapi.ContentUnit) {
	cu.Description = http.StatusText(r.status())
	if r.Answer != (any)(nothing{}) {
		return
	}
	cu.Customize = func(to openapi.ContentOrReference) {
		responseOf(to).Content = map[string]openapi31.MediaType{r.media(): {Schema: map[string]any{"type": "object", "maxProperties": 0}}}
	}
}

// responseOf returns the response at hand. There is no other type behind it in OpenAPI
// 3.1; a response of nobody's would be missed by the tests.
func responseOf(to openapi.ContentOrReference) *openapi31.Response {
	if r, ok := to.(*openapi31.ResponseOrReference); ok && r.Response != nil {
		return r.Response
	}
	return &openapi31.Response{}
}

func (r Route) about() string {
	if r.Scope == "" {
		return r.About
	}
	scope := fmt.Sprintf("Needs a management key with the scope %s.", r.Scope)
	return strings.TrimSpace(r.About + " " + scope)
}

func (r Route) status() int {
	if r.Status == 0 {
		return http.StatusOK
	}
	return r.Status
}

func (r Route) media() string {
	if r.Media == "" {
		return jsonMedia
	}
	return r.Media
}

// secure says which credential is taken. Where a body can hold the refresh token, the
// header may be absent, or hold the key of an application that acts for the user.
func (r Route) secure(oc openapi.OperationContext, op *openapi31.Operation) {
	switch {
	case r.Scope != "":
		oc.AddSecurity(schemeManagement, string(r.Scope))
	case r.Tag == tagAccess:
		oc.AddSecurity(schemeAccess)
	case r.forUsers():
		oc.AddSecurity(schemeToken)
		oc.AddSecurity(schemeCookie)
		if r.Body != nil {
			oc.AddSecurity(schemeManagement, string(directory.ScopeVerify))
			op.Security = append(op.Security, map[string][]string{})
		}
	}
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

func (r Route) pathParameters(op *openapi31.Operation) error {
	for _, m := range placeholder.FindAllStringSubmatch(r.Pattern, -1) {
		about, known := pathAbout[m[1]]
		if !known {
			return fmt.Errorf("the path parameter %s has no description", m[1])
		}
		longest := 31
		if m[1] == "permission" {
			longest = 60 // a name, not an identifier
		}
		p := (&openapi31.Parameter{}).WithName(m[1]).WithIn(openapi31.ParameterInPath).WithRequired(true).
			WithDescription(about.about).WithSchema(map[string]any{"type": "string", "maxLength": longest}).WithExample(about.example)
		op.Parameters = append(op.Parameters, p.ToParameterOrRef())
	}
	return nil
}

// refine adds what reflection can't see.
func (r Route) refine(op *openapi31.Operation) {
	for _, p := range op.Parameters {
		// Lists are written with commas; OpenAPI's default repeats the parameter,
		// which is refused.
		if p.Parameter.Schema["type"] == "array" {
			p.Parameter.WithStyle(openapi31.ParameterStyleForm).WithExplode(false)
		}
		// The description stands beside the schema already.
		if p.Parameter.Description != nil {
			delete(p.Parameter.Schema, "description")
		}
	}
	if op.RequestBody != nil {
		media := op.RequestBody.RequestBody.Content[jsonMedia]
		op.RequestBody.RequestBody.Content[jsonMedia] = *media.WithExample(json.RawMessage(examples[r.ID]))
	}
}

// problems describes the refusals, by status.
func (r Route) problems(oc openapi.OperationContext) error {
	open := r.All()
	codes, about := map[int][]string{}, map[int][]string{}
	for _, info := range wire.Codes() {
		at := slices.Index(open, info.Code)
		if at < 0 {
			continue
		}
		open = slices.Delete(open, at, at+1)
		text := fmt.Sprintf("`%s`: %s.", info.Code, info.Title)
		if info.Terminal {
			text += " Terminal: the session is over."
		}
		codes[info.Status] = append(codes[info.Status], string(info.Code))
		about[info.Status] = append(about[info.Status], text)
	}
	if r.Lints {
		status, code := http.StatusUnprocessableEntity, string(latchkey.CodeInvalidRequest)
		codes[status] = append(codes[status], code)
		about[status] = append(about[status], fmt.Sprintf("`%s`: The claims hold personal data or secrets, and the setting claimLint is reject.", code))
	}
	if len(open) > 0 {
		return fmt.Errorf("codes that no refusal has: %v", open)
	}
	for _, status := range slices.Sorted(maps.Keys(codes)) {
		oc.AddRespStructure(nil, openapi.WithHTTPStatus(status), func(cu *openapi.ContentUnit) {
			cu.Description = strings.Join(about[status], "\n")
			cu.Customize = func(to openapi.ContentOrReference) { describeProblem(to, status, codes[status]) }
		})
	}
	return nil
}

// describeShared adds types that no route names: the body of refusals, once for all,
// since reflecting it for each would take most of a second; and the user object that a
// sign-in may hold.
func describeShared(r *openapi31.Reflector) error {
	var failed error
	collect := jsonschema.CollectDefinitions(func(name string, s jsonschema.Schema) {
		if name == "SignInUser" {
			no := false
			s.WithAdditionalProperties(jsonschema.SchemaOrBool{TypeBoolean: &no})
		}
		simple, err := s.ToSchemaOrBool().ToSimpleMap()
		failed = errors.Join(failed, err)
		r.SpecEns().ComponentsEns().WithSchemasItem(name, simple)
	})
	for _, v := range []any{latchkey.Problem{}, latchkey.SignInUser{}} {
		if _, err := r.Reflect(v, jsonschema.RootRef, jsonschema.DefinitionsPrefix(schemaPrefix), collect); err != nil {
			return fmt.Errorf("native: describing %T: %w", v, err)
		}
	}
	if failed != nil {
		return fmt.Errorf("native: describing problems: %w", failed)
	}
	return nil
}

func describeProblem(to openapi.ContentOrReference, status int, codes []string) {
	response := responseOf(to)
	response.WithMapOfAnythingItem("x-codes", codes)
	response.WithContentItem(problemMedia, openapi31.MediaType{Schema: map[string]any{"$ref": schemaPrefix + "Problem"}})
	header := func(name, about, kind string) {
		h := (&openapi31.Header{}).WithDescription(about).WithSchema(map[string]any{"type": kind})
		response.WithHeadersItem(name, openapi31.HeaderOrReference{Header: h})
	}
	switch status {
	case http.StatusUnauthorized:
		header("WWW-Authenticate", `Bearer, with error="invalid_token" when the session is over.`, "string")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header("Retry-After", "Seconds to wait before another try.", "integer")
	}
}
