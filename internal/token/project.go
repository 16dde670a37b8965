package token

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// project is one version of a project, prepared for minting. It is immutable.
type project struct {
	directory.Project
	policy policy.Policy
	ring   *key.Ring
	mac    []byte
	minted *minted // of the service: it outlives versions

	common  []string // in every aud claim
	encoded []byte   // that, as JSON

	issuer      []byte // JSON strings, encoded once
	sessionDRN  []byte
	refreshDRN  []byte
	opaque      bool
	claimsInRT  bool
	cookieNames [2]string // of session and refresh token when delivered by cookie, with prefix, else ""

	documents pages        // compiled
	rules     policy.Rules // with the tenants that are stricter than the project

	// current is when this version was last known to be the newest, in Unix
	// milliseconds.
	current atomic.Int64
}

// cache holds the newest known version of each project. It is bounded by the number of
// projects: unknown ids are never kept.
type cache struct {
	mu sync.RWMutex
	m  map[id.Project]*project
}

func (c *cache) get(p id.Project) *project {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[p]
}

func (c *cache) put(p *project) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[id.Project]*project{}
	}
	// Ending all sessions grows the epoch, and makes no version.
	if old := c.m[p.ID]; old == nil || old.Version < p.Version || old.Version == p.Version && old.Epoch < p.Epoch {
		c.m[p.ID] = p
	}
}

// cached returns a version of the project that may be outdated: only for what checks
// the version again, inside the transaction.
func (s *Service) cached(ctx context.Context, p id.Project) (*project, error) {
	if known := s.cache.get(p); known != nil {
		return known, nil
	}
	return s.load(ctx, p)
}

// current returns the project as it is now.
func (s *Service) current(ctx context.Context, p id.Project) (*project, error) {
	version, err := s.d.Projects.Version(ctx, p)
	if err != nil {
		return nil, err
	}
	if known := s.cache.get(p); known != nil && known.Version == version {
		known.current.Store(s.d.Now().UnixMilli())
		return known, nil
	}
	return s.load(ctx, p)
}

const (
	// skew is how far the clocks of two servers may be apart.
	skew = time.Minute

	// askAgain is how long a tampered token can't make a server look for a newer version
	// once it has looked.
	askAgain = 100 * time.Millisecond
)

// newer returns a newer version of the project than p, if a token that p can't read is
// a reason to look for one. It is when the token names a key that was made since p was
// known to be the newest, by another process: a key's id tells when it was made. So
// junk, and tokens that were altered, don't reach the store; and one that was made to,
// reaches it ten times a second at most, and only the project's version there.
func (s *Service) newer(ctx context.Context, p *project, t secret.Text) (*project, bool, error) {
	k, ok := p.unknownKey(t)
	now := s.d.Now()
	checked := time.UnixMilli(p.current.Load())
	if !ok || k.Time().Before(checked.Add(-skew)) || k.Time().After(now.Add(skew)) || now.Sub(checked) < askAgain {
		return p, false, nil
	}
	fresh, err := s.current(ctx, p.ID)
	if err != nil {
		return nil, false, err
	}
	return fresh, fresh.Version != p.Version, nil
}

// read returns the credential in a token with the project's version that could read it.
// That may be outdated, but the token is authentic.
func (s *Service) read(ctx context.Context, in Presentation, kinds ...Kind) (*project, Credential, error) {
	p, err := s.cached(ctx, in.Project)
	if err != nil {
		return nil, Credential{}, err
	}
	for {
		c, refusal := p.read(in.Token, kinds...)
		if refusal == nil {
			return p, c, in.admit()
		}
		fresh, again, err := s.newer(ctx, p, in.Token)
		if err != nil {
			return nil, Credential{}, err
		}
		if !again {
			return p, c, refusal
		}
		p = fresh
	}
}

// attempts bounds how often something is read again because it changed meanwhile.
const attempts = 5

// load reads a project and its keys of one and the same version.
func (s *Service) load(ctx context.Context, p id.Project) (*project, error) {
	for range attempts {
		row, err := s.d.Projects.Find(ctx, p)
		if err != nil {
			return nil, err
		}
		keys, err := s.d.Keys.List(ctx, p)
		if err != nil {
			return nil, err
		}
		documents, err := s.pages(ctx, p)
		if err != nil {
			return nil, err
		}
		overrides, err := s.d.Tenants.Overrides(ctx, p)
		if err != nil {
			return nil, err
		}
		version, err := s.d.Projects.Version(ctx, p)
		if err != nil {
			return nil, err
		}
		if version != row.Version {
			continue
		}
		prepared, err := s.prepare(row, keys)
		if err != nil {
			return nil, err
		}
		prepared.documents = documents
		prepared.rules = rules(prepared.policy, overrides)
		prepared.current.Store(s.d.Now().UnixMilli())
		s.cache.put(prepared)
		return prepared, nil
	}
	return nil, fault.New(fault.Unavailable, "The project is being changed; try again.")
}

func rules(p policy.Policy, stricter []directory.Tenant) policy.Rules {
	r := policy.Rules{Project: p, Tenants: make(map[id.Tenant]latchkey.TenantSettings, len(stricter))}
	for _, t := range stricter {
		r.Tenants[t.ID] = t.Settings
	}
	return r
}

func (s *Service) prepare(row directory.Project, keys []key.Key) (*project, error) {
	ring, err := key.OpenRing(s.d.Master, keys)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the keys of project %s can't be opened", row.ID)
	}
	mac, err := s.d.Master.Open(row.SealedMAC, directory.MACContext(row.ID))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the MAC key of project %s can't be opened", row.ID)
	}
	p := s.outline(row)
	p.ring, p.mac = ring, mac
	return p, nil
}

// audience returns the aud claim, encoded: the project first, then what its settings name,
// then what is the session's own, and what a template adds. A client has no say in it.
func (p *project) audience(own ...[]string) []byte {
	all := p.common
	for _, list := range own {
		for _, a := range list {
			if !slices.Contains(all, a) {
				all = append(slices.Clip(all), a)
			}
		}
	}
	if len(all) == len(p.common) {
		return p.encoded // most sessions have no more
	}
	return quote(all)
}

// shared sets what is in every aud claim of the project.
func (p *project) shared() {
	p.common = []string{p.ID.String()}
	for _, a := range p.Settings.Audience {
		if !slices.Contains(p.common, a) {
			p.common = append(p.common, a)
		}
	}
	p.encoded = quote(p.common)
}

// quote encodes a string or a list of strings. These can't fail.
func quote(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// JWKS returns the public keys of a project (RFC 7517) and an entity tag for them.
func (s *Service) JWKS(ctx context.Context, p id.Project) (body []byte, tag string, err error) {
	current, err := s.current(ctx, p)
	if err != nil {
		return nil, "", err
	}
	return current.ring.JWKS(), current.ring.JWKSTag(), nil
}

// Settings returns the project as it is now, for faces that obey its settings.
func (s *Service) Settings(ctx context.Context, p id.Project) (directory.Project, error) {
	current, err := s.current(ctx, p)
	if err != nil {
		return directory.Project{}, err
	}
	return current.Project, nil
}
