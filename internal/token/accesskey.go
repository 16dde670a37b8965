package token

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Exchange is what a machine asks for with its access key.
type Exchange struct {
	NSec   json.RawMessage // claims that it chooses itself; they end up in nsec
	Tenant id.Tenant       // to be the current one; zero: none, or its only one as autoTenant says
}

// MachineToken is a session token without a session: that of an access key.
type MachineToken struct {
	Text      secret.Text
	ExpiresAt time.Time
	At        time.Time // the server's clock
	// Flagged is what in the claims asked for looks like personal data or a secret.
	Flagged []claim.Finding
}

// Exchange mints a token for a machine whose access key has just been opened. Errors:
// fault.Invalid and ClaimsTooLarge with every field that is wrong; Unauthenticated when
// the project is disabled.
func (s *Service) Exchange(ctx context.Context, opened directory.Opened, in Exchange) (MachineToken, error) {
	// The project as it is after the key was opened: what changes later has an entry in
	// the revocation feed that is later than the token.
	p, err := s.current(ctx, opened.Key.Project)
	if err != nil {
		return MachineToken{}, err
	}
	if p.Status != directory.Enabled {
		return MachineToken{}, fault.New(fault.Unauthenticated, "The project is disabled.")
	}
	var bad []fault.Field
	kind := fault.Invalid
	collect := func(err error) {
		var f *fault.Error
		if errors.As(err, &f) {
			if len(bad) == 0 {
				kind = f.Kind
			}
			bad = append(bad, f.Fields...)
		}
	}
	nsec, err := claim.ParseUntrusted(in.NSec, "/claims")
	collect(err)
	// As claims, since that is where the caller has given them.
	flagged, err := claim.LintPolicy(p.Settings.ClaimLint).Apply(nsec, nil)
	collect(err)
	m := p.machine(opened)
	collect(m.choose(in.Tenant, p.Settings.AutoTenant))
	if len(bad) > 0 {
		return MachineToken{}, fault.New(kind, "The access key can't be exchanged like this.").WithFields(bad...)
	}
	m.nsec = nsec
	if err := p.roomBesideKey(m); err != nil {
		return MachineToken{}, err
	}
	out := MachineToken{ExpiresAt: m.expires, At: opened.At, Flagged: flagged}
	text, failures, err := p.mintMachine(m)
	s.tell(ctx, p.ID, id.Session{}, opened.Key.User, failures)
	out.Text = text
	return out, err
}

// AccessKeyFits returns a check of whether the token of an access key would fit as far as
// its own claims go. Grants and what a machine asks for come to that at an exchange.
func (s *Service) AccessKeyFits(ctx context.Context, p id.Project) (func(directory.AccessKey) error, error) {
	current, err := s.current(ctx, p)
	if err != nil {
		return nil, err
	}
	now := s.d.Now()
	return func(k directory.AccessKey) error {
		_, _, err := current.mintMachine(current.machine(directory.Opened{Key: k, At: now}))
		return err
	}, nil
}

// machine is an access key with what its token is made of.
type machine struct {
	key     directory.AccessKey
	may     directory.Authorization
	current id.Tenant // dct
	nsec    json.RawMessage
	at      time.Time
	state   time.Time // epc
	expires time.Time // whole seconds
}

func (p *project) machine(o directory.Opened) machine {
	m := machine{key: o.Key, may: o.Authorize(o.Key.Grants), at: o.At, state: o.At.Add(o.Behind)}
	m.expires = o.At.Add(p.Settings.AccessKeyTokenTTL.Std())
	if end := o.Key.ExpiresAt; !end.IsZero() {
		m.expires = earlier(m.expires, end)
	}
	m.expires = m.expires.Truncate(time.Second)
	return m
}

// choose makes a tenant the current one.
func (m *machine) choose(t id.Tenant, auto bool) error {
	if t.IsZero() {
		if auto {
			m.current = m.may.Sole()
		}
		return nil
	}
	if _, ok := m.may.In(t); !ok {
		return fault.New(fault.Invalid, "").WithFields(fault.Field{
			Pointer: "/tenant", Code: "unknown", Detail: "The access key isn't in such a tenant, or the tenant is disabled."})
	}
	m.current = t
	return nil
}

// shapeOf returns what a token of the machine shows of it.
func (p *project) shapeOf(m machine) shape {
	return p.keyShapedBy(p.documents.of(document.AccessKey, m.key.ID.String()), m)
}

// keyShapedBy is shapeOf with a template that needn't be the key's.
func (p *project) keyShapedBy(c compiled, m machine) shape {
	s := c.shape(m.may, m.current, func() template.Input {
		key := &template.Person{
			ID: m.key.ID.String(), Name: m.key.Name, Attributes: m.key.Attributes, Roles: m.may.Roles, Permissions: m.may.Permissions,
		}
		for _, t := range m.may.Tenants {
			key.Tenants = append(key.Tenants, placeOf(t))
		}
		in := template.Input{Key: key, Project: template.Project{ID: p.ID.String(), Name: p.Name}}
		if t, open := m.may.In(m.current); open {
			current := placeOf(t)
			in.Tenant = &current
		}
		return in
	})
	s.nsec = m.nsec
	return s
}

// mintMachine makes the token. As for sessions, what a template adds, and then what is
// granted in tenants, is left out when it makes it too long.
func (p *project) mintMachine(m machine) (secret.Text, []failed, error) {
	shape := p.shapeOf(m)
	text, err := p.mintKey(m, shape)
	for shorter, ok := shape.shorter(m.current); ok && fault.KindOf(err) == fault.ClaimsTooLarge; shorter, ok = shape.shorter(m.current) {
		shape = shorter
		text, err = p.mintKey(m, shape)
	}
	return text, shape.failed(), err
}

func (p *project) mintKey(m machine, shape shape) (secret.Text, error) {
	text, err := p.ring.Mint(p.ring.Active(), key.AccessToken, p.machineClaims(m, shape))
	size := len(text)
	if errors.Is(err, key.ErrTooLong) {
		size, err = claim.MaxToken+1, nil
	}
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(text), claim.Fit("session token", size, claim.MaxToken, m.key.Claims, m.nsec)
}

// machineClaims are those of a session token, without what only a session has: sid, rid,
// rexp and auth_time. client_id is what RFC 9068, 2.2 wants of every access token.
func (p *project) machineClaims(m machine, shape shape) []byte {
	var w writer
	w.Grow(1024)
	w.raw("iss", p.issuer)
	if shape.subject == "" {
		w.plain("sub", m.key.ID.String())
	} else {
		w.raw("sub", quote(shape.subject))
	}
	w.raw("aud", p.audience(shape.audience))
	w.int("iat", m.at.Unix())
	w.int("nbf", m.at.Unix())
	w.int("exp", m.expires.Unix())
	w.plain("jti", id.NewRefresh().String())
	w.plain("client_id", m.key.ID.String())
	w.raw("drn", p.sessionDRN)
	w.strings("amr", nil)
	w.grants(shape.authorization)
	if !m.current.IsZero() {
		w.plain("dct", m.current.String())
	}
	if shape.subject != "" {
		w.plain("dsub", m.key.ID.String())
	}
	w.int("epc", m.state.UnixMilli())
	w.custom(shape.nsec, overlay(m.key.Claims, shape.claims))
	w.WriteByte('}')
	return w.Bytes()
}
