package latchkey

import (
	"encoding/json"
	"time"
)

// TemplateKind says what a document is for: "user" and "accessKey" are templates of the
// claims in their session tokens, "signIn" is a list of sign-in actions.
type TemplateKind string

// The kinds.
const (
	TemplateUser      TemplateKind = "user"
	TemplateAccessKey TemplateKind = "accessKey"
	TemplateSignIn    TemplateKind = "signIn"
)

// Template is a kind of document with the versions that sessions get.
type Template struct {
	Kind      TemplateKind     `json:"kind" enum:"user,accessKey,signIn"`
	Stable    *TemplateVersion `json:"stable,omitempty" description:"What sessions get that don't get the candidate. Absent before there was one."`
	Candidate *TemplateVersion `json:"candidate,omitempty" description:"What a share of the sessions gets."`
	Percent   int              `json:"percent" description:"That share, of a hundred. A session that gets the candidate keeps getting it while this grows."`
	Previous  int              `json:"previous,omitempty" description:"The version that a roll-back without a candidate goes back to."`
}

// TemplateVersion is a document as it was saved. It never changes.
type TemplateVersion struct {
	Version   int             `json:"version" description:"From 1. No number comes twice, also after a deletion."`
	Document  json.RawMessage `json:"document"`
	Comment   string          `json:"comment,omitempty"`
	CreatedAt time.Time       `json:"createdAt"`
	Actor     string          `json:"actor" description:"Who saved it, as events show it."`
}

// TemplateVersionList is a page of versions.
type TemplateVersionList struct {
	Versions      []TemplateVersion `json:"versions" description:"Newest first. The last hundred are kept, and those in use."`
	NextPageToken string            `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}

// TemplateRequest is a document to be saved.
type TemplateRequest struct {
	Document json.RawMessage `json:"document" required:"true" description:"The template, or the sign-in actions."`
	Percent  *int            `json:"percent,omitempty" minimum:"0" maximum:"100" description:"The share of sessions that gets it, 100 when left out. Less makes it the candidate; the others keep the stable version."`
	Comment  string          `json:"comment,omitempty" maxLength:"500" description:"For those who read the list of versions."`
	Sample   *TemplateSample `json:"sample,omitempty" description:"Whose tokens it has to fit into, besides those of the sessions that there are."`
}

// RolloutRequest gives the candidate to another share of sessions.
type RolloutRequest struct {
	Percent *int `json:"percent" required:"true" minimum:"0" maximum:"100" description:"100 makes the candidate the stable version."`
}

// TemplateSample is somebody made up, to try documents on. What is left out is as in the
// sample that the server has of its own.
type TemplateSample struct {
	User    *SampleHolder  `json:"user,omitempty" description:"For the kinds user and signIn."`
	Key     *SampleHolder  `json:"key,omitempty" description:"For the kind accessKey."`
	Tenant  string         `json:"tenant,omitempty" description:"Id of the current tenant, one of the holder's."`
	Session *SampleSession `json:"session,omitempty"`
}

// SampleHolder is a user or an access key that is made up.
type SampleHolder struct {
	LoginIDs    []string        `json:"loginIds,omitempty" maxItems:"20"`
	Name        string          `json:"name,omitempty" maxLength:"200"`
	Email       string          `json:"email,omitempty" maxLength:"200"`
	Phone       string          `json:"phone,omitempty" maxLength:"200"`
	Attributes  json.RawMessage `json:"attributes,omitempty" description:"An object."`
	Roles       []string        `json:"roles,omitempty" maxItems:"200" description:"Names of roles in the project."`
	Permissions []string        `json:"permissions,omitempty" maxItems:"1000" description:"Names of permissions in the project."`
	Tenants     []SampleTenant  `json:"tenants,omitempty" maxItems:"50"`
}

// SampleTenant is a tenant that is made up.
type SampleTenant struct {
	Tenant      string          `json:"tenant" required:"true" description:"The tenant's id."`
	Name        string          `json:"name,omitempty" maxLength:"200"`
	Attributes  json.RawMessage `json:"attributes,omitempty" description:"An object."`
	Roles       []string        `json:"roles,omitempty" maxItems:"200"`
	Permissions []string        `json:"permissions,omitempty" maxItems:"1000"`
}

// SampleSession is a session that is made up.
type SampleSession struct {
	AMR      []string        `json:"amr,omitempty" maxItems:"10"`
	Claims   json.RawMessage `json:"claims,omitempty" description:"Secure custom claims: an object."`
	NSec     json.RawMessage `json:"nsec,omitempty" description:"Claims that a client asked for: an object."`
	Audience []string        `json:"audience,omitempty" maxItems:"20"`
	Device   DeviceRequest   `json:"device,omitzero"`
	Actor    string          `json:"actor,omitempty" maxLength:"100"`
	StepUp   bool            `json:"stepUp,omitempty" description:"The session is stepped up."`
}

// TemplatePreviewRequest asks what a document makes of somebody.
type TemplatePreviewRequest struct {
	Document json.RawMessage `json:"document,omitempty" description:"A document that needn't be saved. Left out: the version that the session gets."`
	Session  string          `json:"session,omitempty" description:"Id of a live session. Left out: the sample."`
	Sample   *TemplateSample `json:"sample,omitempty" description:"Not together with session."`
}

// TemplatePreview is what a document makes of somebody: what the next session token would
// say, but for its identifiers and times. Nothing was changed.
type TemplatePreview struct {
	Claims   json.RawMessage   `json:"claims" description:"All of the token's claims."`
	Custom   json.RawMessage   `json:"custom,omitempty" description:"Those that the document makes, byte for byte as they would be minted."`
	Diff     []ClaimDifference `json:"diff" description:"How the claims differ from those that the token would have now."`
	Bytes    TemplateBytes     `json:"bytes"`
	Problems []FieldError      `json:"problems" description:"What could not be had and was left out, what is refused when the document is saved, and what had better not be in a token."`
	Action   string            `json:"action,omitempty" description:"The sign-in action that denies or requires."`
	Denied   *TemplateDenial   `json:"denied,omitempty" description:"What somebody would be told whom a sign-in action denies."`
	Requires string            `json:"requires,omitempty" enum:"mfa,stepUp" description:"What a sign-in action requires that isn't shown."`
	Lifetime Duration          `json:"lifetime,omitempty" description:"How long the session may live at most, when sign-in actions say so."`
	Idle     Duration          `json:"idle,omitempty" description:"How long without a refresh, when sign-in actions say so."`
}

// TemplateDenial is what a sign-in action tells whom it denies.
type TemplateDenial struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ClaimDifference is one part of the claims that differs.
type ClaimDifference struct {
	Path   string `json:"path" description:"JSON pointer into the claims."`
	Before any    `json:"before,omitempty" description:"Any JSON. Absent: it is new."`
	After  any    `json:"after,omitempty" description:"Any JSON. Absent: it is gone."`
}

// TemplateBytes is how much room a session token takes.
type TemplateBytes struct {
	Total  int            `json:"total" description:"Of the token, with the cookie's name when it is delivered by cookie."`
	Limit  int            `json:"limit"`
	Claims map[string]int `json:"claims" description:"Bytes by claim, before they are encoded for the token."`
}
