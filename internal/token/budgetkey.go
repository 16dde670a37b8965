package token

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
)

// checkKeys refuses a template that makes the token of the sample, or of one of the
// largest access keys that there are, too long.
func (s *Service) checkKeys(ctx context.Context, p *project, c compiled, sample bearer, now time.Time) error {
	if err := p.keyBears(c, p.sampleMachine(sample, now), "the sample"); err != nil {
		return err
	}
	keys, err := s.d.AccessKeys.Largest(ctx, p.ID, tried)
	if err != nil {
		return err
	}
	for _, k := range keys {
		granted, err := s.d.Holders.Resolve(ctx, p.ID, k.Grants)
		if err != nil {
			return err
		}
		m := p.machine(directory.Opened{Resolved: granted, Key: k, At: now})
		for _, m.current = range entrances(m.may, p.Settings.AutoTenant) {
			if err := p.keyBears(c, m, "access key "+k.ID.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyBears refuses a template that makes the token of an access key too long. Keys whose
// tokens are too long without it are not its fault, and don't count.
func (p *project) keyBears(c compiled, m machine, whose string) error {
	shape := p.keyShapedBy(c, m)
	if _, err := claim.LintPolicy(p.Settings.ClaimLint).Apply(without(shape.claims, m.key.Claims), nil); err != nil {
		return err
	}
	payload := p.machineClaims(m, shape)
	size := p.sizeOf(payload)
	if size <= claim.MaxToken || p.sizeOf(p.machineClaims(m, shape.leaner())) > claim.MaxToken {
		return nil
	}
	return claim.Fit("token of "+whose, size, claim.MaxToken, payload)
}
