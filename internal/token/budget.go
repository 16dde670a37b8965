package token

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// tried is how many of the largest live sessions, or access keys, a document has to fit.
const tried = 20

// CheckDocument refuses a document that doesn't compile, or whose claims make the tokens
// of the sample (nil: the built-in one), or of the largest live sessions or access keys, too
// long. Errors:
// fault.TemplateInvalid; ClaimsTooLarge with the bytes by claim; Invalid for a sample that
// can't be used, and for claims that the project's claimLint rejects; NotFound.
//
// Sessions and keys that are too large without the document are not its fault, and don't count.
func (s *Service) CheckDocument(ctx context.Context, p id.Project, k document.Kind, doc json.RawMessage, sample *latchkey.TemplateSample) error {
	current, c, err := s.previewed(ctx, Preview{Project: p, Kind: k, Document: doc})
	if err != nil {
		return err
	}
	if doc == nil {
		return fault.New(fault.Invalid, "A document is wanted.").WithFields(fault.Field{Pointer: "/document", Code: "required", Detail: "A document is wanted."})
	}
	now := session.Instant(s.d.Now())
	b, err := current.sampled(sample, k == document.AccessKey, now)
	if err != nil {
		return err
	}
	if k == document.AccessKey {
		return s.checkKeys(ctx, current, c, b, now)
	}
	if err := current.bears(c, b, "the sample", now); err != nil {
		return err
	}
	rows, subjects, err := s.d.Bulk.Largest(ctx, p, tried)
	if err != nil {
		return err
	}
	for i, row := range rows {
		b, err := s.refreshed(ctx, current, row, subjects[i], now)
		if fault.KindOf(err) == fault.NotFound {
			continue // the user was deleted a moment ago
		}
		if err != nil {
			return err
		}
		b.row.NSec = nil // which makes room, and no client keeps a project from its template
		if err := current.bears(c, b, "session "+row.ID.String(), now); err != nil {
			return err
		}
	}
	return nil
}

// Conceals is document.Version.Conceals of a document. Sign-in actions conceal nothing:
// what they make is the session's own, and isn't made anew when a role changes. The error
// is that of CheckDocument for a document that doesn't compile.
func (s *Service) Conceals(k document.Kind, doc json.RawMessage) (bool, error) {
	c, err := s.compile(k, 0, doc)
	return err == nil && c.template != nil && c.template.Conceals(), err
}

// bears refuses a document that makes the tokens of somebody too long.
func (p *project) bears(c compiled, b bearer, whose string, now time.Time) error {
	m := moment{rule: session.Rotate, at: now, held: b.row.Newest}
	shape := p.shape(b, now)
	if c.template != nil {
		shape = p.shapedBy(c, b, now)
	}
	own := shape.claims
	if c.actions != nil {
		with := b
		with.row.Claims, with.row.Audience = b.row.Acted.Without(b.row.Claims, b.row.Audience)
		out := c.actions.Evaluate(p.input(with, now))
		if out.Deny != nil || out.Require != "" {
			return nil // no token comes of it
		}
		row, err := acted(with.row, out)
		if err != nil {
			return err
		}
		b.row, own = row, out.Claims
		shape = p.shape(b, now)
	}
	if _, err := claim.LintPolicy(p.Settings.ClaimLint).Apply(own, nil); err != nil {
		return err
	}
	size, limit := p.size(b, m, shape)
	if size <= limit {
		return nil
	}
	if bare, _ := p.size(b, m, shape.leaner()); bare > limit && c.template != nil {
		return nil
	}
	return claim.Fit("session token of "+whose, size, limit, p.payload(b, m, shape))
}

// Fits returns a check of whether the tokens of a row would fit, for changes of claims.
func (s *Service) Fits(ctx context.Context, p id.Project) (func(session.Row) error, error) {
	current, err := s.current(ctx, p)
	if err != nil {
		return nil, err
	}
	return func(row session.Row) error {
		b, err := s.bearer(ctx, current, row, true)
		if fault.KindOf(err) == fault.SessionRevoked {
			b, err = bearer{row: row, policy: current.policy}, nil // whose user is gone: the store says so
		}
		if err == nil {
			_, err = current.mint(b, moment{rule: session.Create, at: session.Instant(s.d.Now()), held: row.Newest})
		}
		return err
	}, nil
}
