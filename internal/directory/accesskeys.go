package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// AccessKeyChange is what a caller says of an access key. Members that are nil stay as they
// are.
type AccessKeyChange struct {
	Name        *string
	Description *string
	Status      *Status
	Claims      json.RawMessage // JSON merge patch
	Attributes  json.RawMessage // JSON merge patch
	GrantChange
	Networks  *[]netip.Prefix
	ExpiresAt *time.Time // zero: never

	// Unreadable is what a face couldn't read of the request. The change is refused with
	// it and with everything else that is wrong.
	Unreadable []fault.Field
}

// keyChange is a change of an access key whose references have been found.
type keyChange struct {
	AccessKeyChange
	grants granting
	bad    problems // of the references
	lint   claim.LintPolicy
	now    time.Time
	fits   func(AccessKey) error // nil: anything does
}

// prepare finds what a change names, before the transaction that makes it.
func (s *Service) prepare(ctx context.Context, p id.Project, c AccessKeyChange, fits func(AccessKey) error) (keyChange, error) {
	project, err := s.projects.Find(ctx, p)
	if err != nil {
		return keyChange{}, err
	}
	out := keyChange{AccessKeyChange: c, lint: claim.LintPolicy(policy.Complete(project.Settings).ClaimLint), now: s.now(), fits: fits, bad: slices.Clone(c.Unreadable)}
	out.grants, err = s.look(p).grants(ctx, c.GrantChange, &out.bad)
	return out, err
}

// apply returns k with the change made, and every problem of the result.
func (c keyChange) apply(k AccessKey) (AccessKey, []claim.Finding, error) {
	bad := slices.Clone(c.bad)
	if c.Name != nil {
		k.Name = *c.Name
	}
	if k.Name == "" || !plain(k.Name, maxName) {
		bad.add("/name", "format", "A name of 1 to %d characters without control characters is wanted.", maxName)
	}
	if c.Description != nil {
		k.Description = *c.Description
		checkDescription(&bad, k.Description)
	}
	if c.Status != nil {
		if k.Status = *c.Status; k.Status != Enabled && k.Status != Disabled {
			bad.add("/status", "range", "enabled or disabled is wanted.")
		}
	}
	k.Attributes = mergeAttributes(k.Attributes, c.Attributes, "/attributes", &bad)
	c.bounds(&k, c.now, &bad)
	kind, flagged := c.claims(&k, c.lint, &bad)
	if len(bad) > 0 {
		return k, nil, fault.New(kind, "The access key can't be stored like this.").WithFields(bad...)
	}
	k.Grants = c.grants.to(k.Grants).tidy()
	if c.fits != nil {
		return k, flagged, c.fits(k)
	}
	return k, flagged, nil
}

// bounds applies from where and how long the key may be used.
func (c AccessKeyChange) bounds(k *AccessKey, now time.Time, bad *problems) {
	if c.Networks != nil {
		if k.Networks = slices.Clone(*c.Networks); len(k.Networks) > maxNetworks {
			bad.add("/networks", "size", "At most %d networks are allowed.", maxNetworks)
		}
	}
	if c.ExpiresAt == nil {
		return
	}
	k.ExpiresAt = *c.ExpiresAt
	if k.ExpiresAt.IsZero() {
		return
	}
	if k.ExpiresAt = millis(k.ExpiresAt); !k.ExpiresAt.After(now) || k.ExpiresAt.Year() > 9999 {
		bad.add("/expiresAt", "range", "A time in the future is wanted.")
	}
}

// claims applies the change of the claims. It returns the kind of refusal that all
// problems get: that of the first problem of a claim, since clients tell those apart.
func (c AccessKeyChange) claims(k *AccessKey, lint claim.LintPolicy, bad *problems) (fault.Kind, []claim.Finding) {
	claims, err := claim.Merge(k.Claims, c.Claims, "/claims", true)
	var flagged []claim.Finding
	if err == nil {
		k.Claims = claims
		// Only what is given now: what the key had already is no business of a caller who
		// changes something else.
		flagged, err = lint.Apply(c.Claims, nil)
	}
	var refusal *fault.Error
	if !errors.As(err, &refusal) {
		return fault.Invalid, flagged
	}
	kind := fault.Invalid
	if len(*bad) == 0 {
		kind = refusal.Kind
	}
	*bad = append(*bad, refusal.Fields...)
	return kind, nil
}

// CreateAccessKey makes an access key, of a user or, when that is zero, of nobody, and
// returns its secret, which isn't kept. fits, if given, may refuse what its tokens would
// become. Grants that name what isn't there are refused with the place of each.
func (s *Service) CreateAccessKey(ctx context.Context, p id.Project, owner id.User, c AccessKeyChange, fits func(AccessKey) error, o audit.Origin) (AccessKey, secret.Text, error) {
	change, err := s.prepare(ctx, p, c, fits)
	if err != nil {
		return AccessKey{}, secret.Text{}, err
	}
	now := change.now
	clear := secret.NewKey(secret.Access)
	k := AccessKey{
		ID: id.NewAccessKey(now), Project: p, Status: Enabled, User: owner, Digest: clear.Digest(), CreatedAt: millis(now), UpdatedAt: millis(now),
	}
	k, flagged, err := change.apply(k)
	if err != nil {
		return AccessKey{}, secret.Text{}, err
	}
	e := k.Created(now, o)
	if len(flagged) > 0 {
		e = e.With("findings", claim.Flagged(flagged))
	}
	if err := s.accessKeys.Insert(ctx, k, e); err != nil {
		return AccessKey{}, secret.Text{}, err
	}
	return k, clear, nil
}

func (k AccessKey) event(t audit.Type, now time.Time, o audit.Origin) audit.Event {
	return audit.New(k.Project, now, t, o).Of(id.Session{}, k.User).With("key", k.ID.String())
}

// turned is the event of a change from old to k.
func (k AccessKey) turned(old AccessKey, now time.Time, o audit.Origin) audit.Event {
	t := audit.AccessKeyChanged
	switch {
	case old.Status != k.Status && k.Status == Disabled:
		t = audit.AccessKeyDisabled
	case old.Status != k.Status:
		t = audit.AccessKeyEnabled
	}
	return grantEvent(k.event(t, now, o), old.Grants, k.Grants)
}

// AccessKey returns a key; fault.NotFound when the project has none such.
func (s *Service) AccessKey(ctx context.Context, p id.Project, k id.AccessKey) (AccessKey, error) {
	return s.accessKeys.Find(ctx, p, k)
}

// AccessKeys lists access keys, ascending, and says where to go on: see AccessKeyStore.
func (s *Service) AccessKeys(ctx context.Context, q AccessKeyQuery) ([]AccessKey, id.AccessKey, error) {
	return s.accessKeys.List(ctx, q)
}

// ChangeAccessKey changes an access key. Verifiers hear of it, so that what was got with
// it before is refused, or got anew, within a moment. fits is as in CreateAccessKey.
func (s *Service) ChangeAccessKey(ctx context.Context, p id.Project, k id.AccessKey, c AccessKeyChange, fits func(AccessKey) error, o audit.Origin) (AccessKey, error) {
	wanted, err := s.prepare(ctx, p, c, fits)
	if err != nil {
		return AccessKey{}, err
	}
	if len(wanted.bad) > 0 {
		old, err := s.accessKeys.Find(ctx, p, k)
		if err == nil {
			_, _, err = wanted.apply(old)
		}
		return AccessKey{}, err
	}
	now := wanted.now
	return s.accessKeys.Change(ctx, p, k, func(old AccessKey) (AccessKey, []audit.Event, error) {
		changed, flagged, err := wanted.apply(old)
		if err != nil {
			return old, nil, err
		}
		if changed.same(old) {
			return old, nil, nil
		}
		changed.UpdatedAt = millis(now)
		e := changed.turned(old, now, o)
		if len(flagged) > 0 {
			e = e.With("findings", claim.Flagged(flagged))
		}
		return changed, []audit.Event{e}, nil
	})
}

// same reports whether nothing of what a caller can say of a key is different.
func (k AccessKey) same(old AccessKey) bool {
	return k.Name == old.Name && k.Description == old.Description && k.Status == old.Status && k.Grants.Equal(old.Grants) &&
		bytes.Equal(k.Claims, old.Claims) && bytes.Equal(k.Attributes, old.Attributes) && slices.Equal(k.Networks, old.Networks) && k.ExpiresAt.Equal(old.ExpiresAt)
}

// RotateAccessKey gives a key a new secret. The old one, and the tokens that were got with
// it, end at once.
func (s *Service) RotateAccessKey(ctx context.Context, p id.Project, k id.AccessKey, o audit.Origin) (AccessKey, secret.Text, error) {
	now := s.now()
	clear := secret.NewKey(secret.Access)
	changed, err := s.accessKeys.Change(ctx, p, k, func(old AccessKey) (AccessKey, []audit.Event, error) {
		old.Digest, old.UpdatedAt = clear.Digest(), millis(now)
		return old, []audit.Event{old.event(audit.AccessKeyRotated, now, o)}, nil
	})
	if err != nil {
		return AccessKey{}, secret.Text{}, err
	}
	return changed, clear, nil
}

// DeleteAccessKey removes a key; it, and the tokens that were got with it, end at once.
func (s *Service) DeleteAccessKey(ctx context.Context, p id.Project, k id.AccessKey, o audit.Origin) error {
	return s.accessKeys.Delete(ctx, p, k, AccessKey{ID: k, Project: p}.event(audit.AccessKeyDeleted, s.now(), o))
}

// OpenAccessKey finds the access key that a secret opens, and checks that it may be used
// now from ip for a project. A secret that can't be an access key never reaches the store.
// admit is asked once the secret is known to be one of the project's. Errors are
// fault.Unauthenticated, fault.Forbidden, or what admit returns.
func (s *Service) OpenAccessKey(ctx context.Context, p id.Project, clear secret.Text, ip netip.Addr, admit func() error) (Opened, error) {
	if kind, err := secret.ParseKey(clear); err != nil || kind != secret.Access {
		return Opened{}, fault.New(fault.Unauthenticated, "An access key of this project is wanted as Bearer credential; this isn't one.")
	}
	k, err := s.accessKeys.FindByDigest(ctx, clear.Digest())
	if fault.KindOf(err) == fault.NotFound || err == nil && k.Project != p {
		return Opened{}, noAccessKey()
	}
	if err != nil {
		return Opened{}, err
	}
	if err := admit(); err != nil {
		return Opened{}, err
	}
	opened, err := s.accessKeys.Open(ctx, p, k.ID, k.Digest)
	if fault.KindOf(err) == fault.NotFound {
		return Opened{}, noAccessKey()
	}
	if err != nil {
		return Opened{}, err
	}
	return opened, opened.refuse(ip)
}

func noAccessKey() error {
	return fault.New(fault.Unauthenticated, "This project has no such access key.")
}

// refuse says why the key can't be used from an address, nil when it can.
func (o Opened) refuse(ip netip.Addr) error {
	k := o.Key
	switch {
	case k.Status != Enabled:
		return fault.New(fault.Unauthenticated, "The access key is disabled.")
	case !k.Usable(o.At):
		return fault.New(fault.Unauthenticated, "The access key has expired.")
	case o.User != nil && o.User.Status != Enabled:
		return fault.New(fault.Unauthenticated, "The user whose access key this is is disabled.")
	case !admitted(k.Networks, ip):
		return fault.New(fault.Forbidden, "The access key may not be used from this network.")
	}
	return nil
}
