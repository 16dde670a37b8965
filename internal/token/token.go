// Package token owns the tokens of a session: how each kind looks, minting and reading
// them, and the two acts that hand them out, sign-in and refresh. What a refresh means
// is decided by package session, inside the store's transaction; what signs is package
// key.
//
//	session token   JWS, typ at+jwt (RFC 9068)      verified by anybody, with the JWKS
//	refresh token   JWS, typ rt+jwt, or opaque rt_… only the server acts on it
//
// The kinds are told apart by an explicit type (RFC 8725, 3.11) and never stand for one
// another.
package token

import (
	"errors"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Kind is what a token is good for.
type Kind uint8

// The kinds.
const (
	SessionToken Kind = iota + 1
	RefreshToken
)

// Deps is what a Service stands on.
type Deps struct {
	Projects  directory.ProjectStore
	Keys      key.Store
	Sessions  session.Store
	Bulk      session.BulkStore
	Holders   directory.HolderStore
	Tenants   directory.TenantStore
	Documents document.Store
	Events    audit.Store
	// AccessKeys are those that a template for them has to fit.
	AccessKeys directory.AccessKeyStore
	Master     *secret.Ring
	// PublicURL is the address under which clients reach the server, without a
	// slash at the end. It is the first part of every issuer.
	PublicURL string
	Now       func() time.Time
}

// Service signs users in and refreshes sessions. It is safe for concurrent use. It
// keeps what it needs of each project in memory, and every use is checked against the
// project's version, for a refresh inside the transaction itself.
type Service struct {
	d        Deps
	compiler *template.Compiler
	cache    cache
	minted   minted
	told     told
}

// New returns a Service. All members of d are needed.
func New(d Deps) (*Service, error) {
	if d.Projects == nil || d.Keys == nil || d.Sessions == nil || d.Holders == nil || d.Tenants == nil || d.Master == nil || d.Now == nil {
		return nil, errors.New("token: a dependency is missing")
	}
	if d.PublicURL == "" || strings.HasSuffix(d.PublicURL, "/") {
		return nil, errors.New("token: the public URL is missing or ends with a slash")
	}
	if d.Bulk == nil || d.Documents == nil || d.Events == nil || d.AccessKeys == nil {
		return nil, errors.New("token: a dependency is missing")
	}
	compiler, err := template.NewCompiler()
	if err != nil {
		return nil, err
	}
	return &Service{d: d, compiler: compiler}, nil
}

// Issuer returns the issuer of a project's tokens, byte for byte as in their iss claim.
func (s *Service) Issuer(p id.Project) string { return s.d.PublicURL + "/" + p.String() }

// Set is the outcome of a sign-in or a refresh.
type Set struct {
	Session          secret.Text
	SessionExpiresAt time.Time
	Refresh          secret.Text // empty when the lineage was left alone
	RefreshExpiresAt time.Time
	Row              session.Row
	Rule             session.Rule
	At               time.Time // the server's clock
	// Flagged is what in a sign-in's claims looks like personal data or a secret.
	Flagged []claim.Finding
	failed  []failed // what of the project's documents couldn't be had
}
