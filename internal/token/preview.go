package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Preview asks what a document makes of a session, or of somebody made up.
type Preview struct {
	Project  id.Project
	Kind     document.Kind
	Document json.RawMessage          // nil: the version that is in use
	Session  id.Session               // zero: the sample
	Sample   *latchkey.TemplateSample // nil: the built-in one
}

// Previewed is what a document makes of a token.
type Previewed struct {
	Claims   json.RawMessage // of the whole session token, as it would be minted
	Custom   json.RawMessage // those of the document, byte for byte; nil: none
	Diff     []Difference    // from what would be minted without the given document
	Size     int             // bytes of the token, with the cookie's name if there is one
	Limit    int
	Parts    []claim.Part // bytes by claim, largest first
	Problems []fault.Field
	Outcome  *template.Outcome // of sign-in actions
}

// Preview shows what the next token of a session would say, and changes nothing. Errors:
// fault.TemplateInvalid, Invalid for a sample that can't be used, Contradiction for a
// session together with a sample, NotFound for what isn't there, Conflict for a session
// that isn't live.
func (s *Service) Preview(ctx context.Context, in Preview) (Previewed, error) {
	p, c, err := s.previewed(ctx, in)
	if err != nil {
		return Previewed{}, err
	}
	now := session.Instant(s.d.Now())
	var b bearer
	if in.Session.IsZero() {
		b, err = p.sampled(in.Sample, in.Kind == document.AccessKey, now)
	} else {
		b, err = s.upcoming(ctx, p, in.Session, now)
	}
	if err != nil {
		return Previewed{}, err
	}
	if in.Document == nil {
		c = p.documents.of(in.Kind, b.row.ID.String())
	}
	m := moment{rule: session.Rotate, at: now, held: b.row.Newest}
	switch in.Kind {
	case document.SignIn:
		return p.previewActions(c, b, m)
	case document.AccessKey:
		return p.previewKey(c, b, now), nil
	}
	return p.previewTemplate(c, b, m), nil
}

// previewed returns the project, and the document if one is given.
func (s *Service) previewed(ctx context.Context, in Preview) (*project, compiled, error) {
	if !slices.Contains(document.Kinds(), in.Kind) {
		return nil, compiled{}, fault.New(fault.NotFound, "There is no such kind of document: user, accessKey and signIn are known.")
	}
	if !in.Session.IsZero() && (in.Sample != nil || in.Kind == document.AccessKey) {
		return nil, compiled{}, fault.New(fault.Contradiction, "A document is shown for a session or for a sample, and that of access keys for a sample.").WithFields(
			fault.Field{Pointer: "/session", Code: "contradiction", Detail: "Leave it out to use a sample."})
	}
	p, err := s.current(ctx, in.Project)
	if err != nil || in.Document == nil {
		return p, compiled{}, err
	}
	c, err := s.compile(in.Kind, 0, in.Document)
	return p, c, err
}

// upcoming returns a session as its next refresh will leave it.
func (s *Service) upcoming(ctx context.Context, p *project, sid id.Session, now time.Time) (bearer, error) {
	row, subject, err := s.d.Sessions.Find(ctx, p.ID, sid)
	if err != nil {
		return bearer{}, err
	}
	if status, _ := row.Status(subject, now); status != session.Active {
		return bearer{}, fault.New(fault.Conflict, "The session isn't live any more, so there is no next token.")
	}
	return s.refreshed(ctx, p, row, subject, now)
}

// refreshed is a live session as its next refresh will leave it.
func (s *Service) refreshed(ctx context.Context, p *project, row session.Row, subject session.Subject, now time.Time) (bearer, error) {
	holder, err := s.d.Holders.Holder(ctx, p.ID, row.User)
	if err != nil {
		return bearer{}, err
	}
	b := p.bearer(row, holder)
	state, v := session.Decide(row.State, subject, session.Request{
		Token: row.Newest, Parent: row.Parent, Next: id.NewRefresh(), Context: row.Context, Policy: b.policy,
	}, now)
	if v.Issues() {
		b.row.State = state
	}
	// As session.Row.settled does it inside the refresh.
	if _, member := holder.User.Grants.In(b.row.Tenant); !member && !b.row.Tenant.IsZero() {
		b.row, _ = p.left(b, now)
	}
	if b.row.Tenant.IsZero() && p.entersAlone(p.documents.acts(row.ID)) {
		b.row.Tenant = b.authorization().Sole()
	}
	return b, nil
}

// previewTemplate is what a template makes of a session.
func (p *project) previewTemplate(c compiled, b bearer, m moment) Previewed {
	var out Previewed
	whole := p.shapedBy(c, b, m.at)
	before := p.payload(b, m, p.fitting(b, m, p.shape(b, m.at)))
	out.measure(p, b, m, whole)
	minted := p.fitting(b, m, whole)
	out.Claims = p.payload(b, m, minted)
	out.Custom = without(minted.claims, b.row.Claims)
	out.Diff = differences(before, out.Claims)
	out.fail(minted.failed())
	if minted.leftOut != "" {
		out.Problems = append(out.Problems, fault.Field{Pointer: "/claims/tenants", Code: "size", Detail: minted.leftOut})
	}
	out.lint(p, whole.claims)
	return out
}

// previewActions is what sign-in actions make of a session that begins or changes its
// tenant.
func (p *project) previewActions(c compiled, b bearer, m moment) (Previewed, error) {
	out := Previewed{}
	before := p.payload(b, m, p.fitting(b, m, p.shape(b, m.at)))
	with := b
	with.row.Claims, with.row.Audience = b.row.Acted.Without(b.row.Claims, b.row.Audience)
	with.row.Acted = session.Acted{}
	if c.actions != nil {
		o := c.actions.Evaluate(p.input(with, m.at))
		out.Outcome = &o
		out.fail(c.failed(o.Failures))
		if o.Deny == nil && o.Require == "" {
			row, err := acted(with.row, o)
			if err != nil {
				return Previewed{}, err
			}
			with.row = row
			out.Custom = o.Claims
			out.lint(p, o.Claims)
		} else {
			with = b // the session stays as it is
		}
	}
	whole := p.shape(with, m.at)
	out.measure(p, with, m, whole)
	out.Claims = p.payload(with, m, p.fitting(with, m, whole))
	out.Diff = differences(before, out.Claims)
	return out, nil
}

// previewKey is what a template makes of an access key.
func (p *project) previewKey(c compiled, b bearer, at time.Time) Previewed {
	m := p.sampleMachine(b, at)
	whole := p.keyShapedBy(c, m)
	minted := p.fittingKey(m, whole)
	out := Previewed{Claims: p.machineClaims(m, minted), Custom: minted.claims, Parts: claim.Parts(p.machineClaims(m, whole))}
	out.Size, out.Limit = p.sizeOf(p.machineClaims(m, whole)), claim.MaxToken
	out.tooLong()
	out.Diff = differences(p.machineClaims(m, p.fittingKey(m, p.shapeOf(m))), out.Claims)
	out.fail(minted.failed())
	out.lint(p, whole.claims)
	return out
}

// sampleMachine is the access key of a sample.
func (p *project) sampleMachine(b bearer, at time.Time) machine {
	u := b.holder.User
	m := p.machine(directory.Opened{At: at, Key: directory.AccessKey{ID: id.AccessKey(u.ID), Project: p.ID, Name: u.Name, Attributes: u.Attributes}})
	m.may, m.current = b.authorization(), b.row.Tenant
	return m
}

// fittingKey is fitting for an access key.
func (p *project) fittingKey(m machine, s shape) shape {
	for p.sizeOf(p.machineClaims(m, s)) > claim.MaxToken {
		shorter, ok := s.shorter(m.current)
		if !ok {
			break
		}
		s = shorter
	}
	return s
}

// payload is what a session token says.
func (p *project) payload(b bearer, m moment, s shape) json.RawMessage {
	return p.sessionClaims(b, m, p.outline(b, m), s)
}

// fitting is the shape in which a token is minted: without what would make it too long.
func (p *project) fitting(b bearer, m moment, s shape) shape {
	for size, limit := p.size(b, m, s); size > limit; size, limit = p.size(b, m, s) {
		shorter, ok := s.shorter(b.row.Tenant)
		if !ok {
			break
		}
		s = shorter
	}
	return s
}

// size is how many bytes a session token takes, with the name of its cookie, and how many
// it may take.
func (p *project) size(b bearer, m moment, s shape) (size, limit int) {
	payload := p.payload(b, m, s)
	limit = claim.MaxToken
	name := p.cookieNames[0]
	if name != "" {
		limit = claim.MaxCookie
	}
	return p.sizeOf(payload) + len(name), limit
}

// sizeOf is how many bytes a token takes with these claims.
func (p *project) sizeOf(payload []byte) int {
	token, err := p.ring.Mint(p.ring.Active(), key.AccessToken, payload)
	if errors.Is(err, key.ErrTooLong) {
		// Signing is refused; in base64 (RFC 7515, 2) the payload alone takes this.
		return max((len(payload)+2)/3*4, claim.MaxToken+1)
	}
	return len(token)
}

func (o *Previewed) measure(p *project, b bearer, m moment, s shape) {
	o.Size, o.Limit = p.size(b, m, s)
	o.Parts = claim.Parts(p.payload(b, m, s))
	o.tooLong()
}

// tooLong tells which claims make a token too long.
func (o *Previewed) tooLong() {
	if o.Size > o.Limit {
		for _, part := range o.Parts {
			o.Problems = append(o.Problems, fault.Field{Pointer: "/claims/" + part.Name, Code: "size", Detail: fmt.Sprintf("The token is too long: it takes %d bytes, %d are allowed. This claim takes %d.", o.Size, o.Limit, part.Bytes)})
		}
	}
}

func (o *Previewed) fail(list []failed) {
	for _, f := range list {
		in := "/document"
		if f.kind == "" {
			in = "/claims" // grants, which no document has made
		}
		o.Problems = append(o.Problems, fault.Field{Pointer: in + f.Path, Code: "failed", Detail: f.Reason})
	}
}

// lint tells what had better not be in a token, whatever the project does about it.
func (o *Previewed) lint(p *project, claims json.RawMessage) {
	found, _ := claim.LintWarn.Apply(claims, nil)
	if claim.LintPolicy(p.Settings.ClaimLint) == claim.LintOff {
		found = nil
	}
	for _, f := range found {
		o.Problems = append(o.Problems, fault.Field{Pointer: f.Pointer, Code: "sensitive", Detail: f.Detail + " Whoever holds a token can read it."})
	}
}

// without returns the members of an object that another doesn't have.
func without(object, other json.RawMessage) json.RawMessage {
	all, hidden := members(object), members(other)
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { _, is := hidden[name]; return is })
	if len(all) == 0 {
		return nil
	}
	var out bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(all)) {
		out.WriteByte("{,"[min(i, 1)])
		out.Write(quote(name))
		out.WriteByte(':')
		out.Write(all[name])
	}
	out.WriteByte('}')
	return out.Bytes()
}

// refusalOf returns the refusal that err is; nil for none.
func refusalOf(err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return nil
}
