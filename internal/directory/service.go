package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"reflect"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// Deps is what a Service stands on.
type Deps struct {
	Projects    ProjectStore
	Lives       LifeStore
	Users       UserStore
	Batches     BatchStore
	Holders     HolderStore
	Tenants     TenantStore
	Roles       RoleStore
	Permissions PermissionStore
	Keys        ManagementKeyStore
	AccessKeys  AccessKeyStore
	Now         func() time.Time

	// PublicURL is where clients reach the server; empty when that isn't known. No
	// project can have its host as custom domain, and cookies are checked against it.
	PublicURL string
}

// Service is the directory's use cases. It is safe for concurrent use.
type Service struct {
	projects    ProjectStore
	lives       LifeStore
	users       UserStore
	batches     BatchStore
	holders     HolderStore
	tenants     TenantStore
	roles       RoleStore
	permissions PermissionStore
	keys        ManagementKeyStore
	accessKeys  AccessKeyStore
	now         func() time.Time

	publicHost string // without port
	domains    domains
}

// New returns a Service. All members of d but PublicURL are needed.
func New(d Deps) (*Service, error) {
	if d.Projects == nil || d.Lives == nil || d.Users == nil || d.Batches == nil || d.Holders == nil || d.Tenants == nil || d.Roles == nil ||
		d.Permissions == nil || d.Keys == nil || d.AccessKeys == nil || d.Now == nil {
		return nil, errors.New("directory: a dependency is missing")
	}
	public, err := url.Parse(d.PublicURL)
	if err != nil {
		return nil, errors.New("directory: the public URL can't be read")
	}
	return &Service{
		projects: d.Projects, lives: d.Lives, users: d.Users, batches: d.Batches, holders: d.Holders, tenants: d.Tenants, roles: d.Roles,
		permissions: d.Permissions, keys: d.Keys, accessKeys: d.AccessKeys, now: d.Now, publicHost: public.Hostname(),
	}, nil
}

// attempts is how often a change is repeated that lost against a concurrent one.
const attempts = 5

// Project returns a project; fault.NotFound for an unknown one.
func (s *Service) Project(ctx context.Context, p id.Project) (Project, error) {
	return s.projects.Find(ctx, p)
}

// Settings returns the settings of a project, their warnings and version.
func (s *Service) Settings(ctx context.Context, p id.Project) (latchkey.SettingsAnswer, error) {
	project, err := s.projects.Find(ctx, p)
	if err != nil {
		return latchkey.SettingsAnswer{}, err
	}
	warnings, err := policy.Check(policy.Complete(project.Settings), s.publicHost)
	if err != nil {
		// Ranges may have become narrower since: show what is stored all the same.
		warnings = append(warnings, latchkey.Warning{Detail: "The stored settings are outside today's ranges: " + err.Error()})
	}
	return answer(policy.Complete(project.Settings), warnings, project.Version), nil
}

func answer(s latchkey.Settings, warnings []latchkey.Warning, version int64) latchkey.SettingsAnswer {
	if warnings == nil {
		warnings = []latchkey.Warning{}
	}
	return latchkey.SettingsAnswer{Settings: s, Warnings: warnings, Version: version}
}

// ownDomain refuses the server's own host as custom domain: all projects are there.
func (s *Service) ownDomain(custom string) error {
	if custom == "" || custom != s.publicHost {
		return nil
	}
	return fault.New(fault.Conflict, "The custom domain is the server's own host.").WithFields(fault.Field{
		Pointer: "/customDomain", Code: "duplicate", Detail: "The end-user endpoints are at this host already, below the project's id."})
}

// ChangeSettings applies a JSON merge patch. The result is checked whole; when anything
// is wrong nothing changes and every problem is reported. A custom domain that leads elsewhere
// already is fault.Conflict.
func (s *Service) ChangeSettings(ctx context.Context, p id.Project, patch []byte, o audit.Origin) (latchkey.SettingsAnswer, error) {
	for range attempts {
		project, err := s.projects.Find(ctx, p)
		if err != nil {
			return latchkey.SettingsAnswer{}, err
		}
		settings, warnings, err := s.patched(project, patch)
		if err != nil {
			return latchkey.SettingsAnswer{}, err
		}
		if reflect.DeepEqual(settings, policy.Complete(project.Settings)) {
			return answer(settings, warnings, project.Version), nil
		}
		var plain bytes.Buffer
		if err := json.Compact(&plain, patch); err != nil {
			return latchkey.SettingsAnswer{}, err // Patch has read it, so it can't happen
		}
		e := audit.New(p, s.now(), audit.SettingsChanged, o).With("patch", plain.String())
		err = s.projects.ChangeSettings(ctx, p, project.Version, settings, e)
		if err == nil {
			if settings.CustomDomain != project.Settings.CustomDomain {
				s.domains.forget()
			}
			return answer(settings, warnings, project.Version+1), nil
		}
		if errors.Is(err, ErrDomainTaken) {
			return latchkey.SettingsAnswer{}, err
		}
		if fault.KindOf(err) != fault.Conflict {
			return latchkey.SettingsAnswer{}, err
		}
	}
	return latchkey.SettingsAnswer{}, fault.New(fault.Conflict, "The settings are being changed by others; try again.")
}

// patched returns a project's settings with a change and what is worth a second look in
// them, or everything that is wrong.
func (s *Service) patched(p Project, patch []byte) (latchkey.Settings, []latchkey.Warning, error) {
	if p.Status == Deleted {
		return latchkey.Settings{}, nil, errGone()
	}
	settings, err := policy.Patch(p.Settings, patch)
	if err != nil {
		return latchkey.Settings{}, nil, err
	}
	warnings, err := policy.Check(settings, s.publicHost)
	if err == nil {
		err = s.ownDomain(settings.CustomDomain)
	}
	return settings, warnings, err
}

// NewKey is a management key to be made.
type NewKey struct {
	Name      string
	Kind      secret.KeyKind
	Scopes    []Scope // none: all that its kind may have
	Networks  []netip.Prefix
	ExpiresAt time.Time // zero: without end
}

// CreateKey makes a management key and returns its secret, which isn't kept. The key by
// asks for it, and can't give what it doesn't have: fault.Forbidden. Zero: an operator
// does.
func (s *Service) CreateKey(ctx context.Context, p id.Project, in NewKey, by ManagementKey, o audit.Origin) (ManagementKey, secret.Text, error) {
	now := s.now()
	if err := in.check(now); err != nil {
		return ManagementKey{}, secret.Text{}, err
	}
	clear := secret.NewKey(in.Kind)
	k := ManagementKey{
		ID: id.NewManagementKey(now), Project: p, Name: in.Name, Kind: in.Kind, Scopes: in.Scopes, Networks: in.Networks,
		Digest: clear.Digest(), CreatedAt: now.UTC().Truncate(time.Millisecond),
	}
	if !in.ExpiresAt.IsZero() {
		k.ExpiresAt = millis(in.ExpiresAt)
	}
	if err := by.covers(k); err != nil {
		return ManagementKey{}, secret.Text{}, err
	}
	e := audit.New(p, now, audit.ManagementKeyCreated, o).With("key", k.ID.String()).With("kind", string(k.Kind)).With("name", k.Name)
	if err := s.keys.Insert(ctx, k, e); err != nil {
		return ManagementKey{}, secret.Text{}, err
	}
	return k, clear, nil
}

// Key finds the management key that a secret opens, and checks that it may be used now
// from ip for a project. A secret that can't be a key never reaches the store. Errors
// are fault.Unauthenticated or fault.Forbidden, and fault.NotFound once the project was
// deleted, for all that isn't of ScopeVerify.
func (s *Service) Key(ctx context.Context, p id.Project, clear secret.Text, ip netip.Addr, scope Scope) (ManagementKey, error) {
	kind, err := secret.ParseKey(clear)
	if err == nil && kind == secret.Access {
		return ManagementKey{}, fault.New(fault.Unauthenticated, "An access key opens nothing by itself: exchange it for a token at {issuer}/access-keys/exchange. Here a management key is wanted.")
	}
	if err != nil {
		return ManagementKey{}, fault.New(fault.Unauthenticated, "A management key of this project is wanted as Bearer credential; this isn't one.")
	}
	k, err := s.keys.FindByDigest(ctx, clear.Digest())
	if fault.KindOf(err) == fault.NotFound || err == nil && (k.Project != p || k.Kind != kind) {
		return ManagementKey{}, fault.New(fault.Unauthenticated, "This project has no such management key.")
	}
	if err != nil {
		return ManagementKey{}, err
	}
	if k.ProjectDeleted && scope != ScopeVerify {
		return ManagementKey{}, errGone()
	}
	if !k.ExpiresAt.IsZero() && !s.now().Before(k.ExpiresAt) {
		return ManagementKey{}, fault.New(fault.Unauthenticated, "The management key has expired.")
	}
	if !k.admits(ip) {
		return ManagementKey{}, fault.New(fault.Forbidden, "The management key may not be used from this network.")
	}
	if !k.May(scope) {
		return ManagementKey{}, fault.New(fault.Forbidden, "The management key lacks the scope %q.", scope)
	}
	return k, nil
}

// Keys lists management keys, ascending.
func (s *Service) Keys(ctx context.Context, p id.Project, after id.ManagementKey, limit int) ([]ManagementKey, error) {
	return s.keys.List(ctx, p, after, limit)
}

// RotateKey gives a key a new secret; the old one ends at once. Since it shows a secret,
// by must have all that the key has, as in CreateKey.
func (s *Service) RotateKey(ctx context.Context, p id.Project, k id.ManagementKey, by ManagementKey, o audit.Origin) (ManagementKey, secret.Text, error) {
	old, err := s.findKey(ctx, p, k)
	if err == nil {
		err = by.covers(old)
	}
	if err != nil {
		return ManagementKey{}, secret.Text{}, err
	}
	clear := secret.NewKey(old.Kind)
	e := audit.New(p, s.now(), audit.ManagementKeyRotated, o).With("key", k.String())
	changed, err := s.keys.Rotate(ctx, p, k, clear.Digest(), e)
	return changed, clear, err
}

func (s *Service) findKey(ctx context.Context, p id.Project, k id.ManagementKey) (ManagementKey, error) {
	for after := (id.ManagementKey{}); ; {
		page, err := s.keys.List(ctx, p, after, 200)
		if err != nil {
			return ManagementKey{}, err
		}
		for _, found := range page {
			if found.ID == k {
				return found, nil
			}
			after = found.ID
		}
		if len(page) < 200 {
			return ManagementKey{}, fault.New(fault.NotFound, "This project has no such management key.")
		}
	}
}

// DeleteKey removes a key; it is refused from then on. A key may delete itself, and
// another one if it has all that that one has.
func (s *Service) DeleteKey(ctx context.Context, p id.Project, k id.ManagementKey, by ManagementKey, o audit.Origin) error {
	if k != by.ID && !by.ID.IsZero() {
		old, err := s.findKey(ctx, p, k)
		if err == nil {
			err = by.covers(old)
		}
		if err != nil {
			return err
		}
	}
	return s.keys.Delete(ctx, p, k, audit.New(p, s.now(), audit.ManagementKeyDeleted, o).With("key", k.String()))
}
