package latchkey

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Claims are what a verified session token says. They are shared by all callers that
// present the same token: read them, never change them, not even elements of a slice.
//
// A claim that the token doesn't have is the zero value. Times have whole seconds.
type Claims struct {
	Issuer   string   // iss
	Subject  string   // sub: the user's id, or that of an access key, or what a template says instead: see Principal
	Audience []string // aud

	IssuedAt         time.Time // iat
	NotBefore        time.Time // nbf
	ExpiresAt        time.Time // exp
	AuthTime         time.Time // auth_time: when the user signed in; refreshes don't change it
	RefreshExpiresAt time.Time // rexp: when the refresh token ends that was issued with this token

	TokenID   string // jti
	SessionID string // sid
	RefreshID string // rid: names the refresh token that was issued with this token; not a secret
	KeyID     string // kid of the header

	AMR []string // authentication methods

	CurrentTenant string                  // dct
	Tenants       map[string]TenantGrants // by tenant id
	Roles         []string                // of the project
	Permissions   []string                // of the project

	DirectorySubject string // dsub: the id of the user or access key when sub is something else; see Principal

	SteppedUp bool  // su: the user has proved who they are once more a short while ago
	Epoch     int64 // epc: Unix milliseconds of the state that the token shows, by the server's clock

	ClientID string          // client_id, of an OAuth application
	Scopes   []string        // scopes, or the words of scope
	Actor    json.RawMessage // act: who acts in the user's place; nil when it is the user

	custom []claimMember // claims at top level without a field of their own
	client []claimMember // members of nsec
	weight int           // bytes that the claims keep alive
}

// TenantGrants are what a user may do in one tenant.
type TenantGrants struct {
	Roles       []string
	Permissions []string
}

// claimMember is a claim as it was written.
type claimMember struct{ name, value string }

// Principal returns the id of the user (usr_…) or access key (ak_…) that the token is
// about. It is sub, unless a template of the project puts something of its own there.
func (c *Claims) Principal() string {
	if c.DirectorySubject != "" {
		return c.DirectorySubject
	}
	return c.Subject
}

// Impersonated reports whether somebody else acts in the user's place: the token has act.
func (c *Claims) Impersonated() bool { return c.Actor != nil }

// Claim decodes a custom claim into what into points to, as encoding/json does, and
// reports whether the token has it. Custom claims come from your own servers (management
// API, templates), so they can be relied on. Claims with a field in Claims are not found
// here, and nothing that a browser asked for ever is: see ClientClaim.
func (c *Claims) Claim(name string, into any) (bool, error) {
	return decodeMember(c.custom, "claim", name, into)
}

// ClientClaim is Claim for what an untrusted client, such as a browser, asked to have
// in its token (nsec). It is as good as any other input of that client.
func (c *Claims) ClientClaim(name string, into any) (bool, error) {
	return decodeMember(c.client, "client claim", name, into)
}

func decodeMember(members []claimMember, what, name string, into any) (bool, error) {
	for _, m := range members {
		if m.name != name {
			continue
		}
		if err := json.Unmarshal([]byte(m.value), into); err != nil {
			// Errors of encoding/json quote what they read; a claim has no place in a log.
			return true, fmt.Errorf("%s %.60q doesn't fit a %T", what, name, into)
		}
		return true, nil
	}
	return false, nil
}

// HasRole reports whether the user has the role in the project or in the current tenant.
func (c *Claims) HasRole(role string) bool {
	return c.hasRole(role, c.CurrentTenant)
}

// HasPermission reports whether the user has the permission in the project or in the
// current tenant.
func (c *Claims) HasPermission(permission string) bool {
	return c.hasPermission(permission, c.CurrentTenant)
}

func (c *Claims) hasRole(role, tenant string) bool {
	return slices.Contains(c.Roles, role) || slices.Contains(c.Tenants[tenant].Roles, role)
}

func (c *Claims) hasPermission(permission, tenant string) bool {
	return slices.Contains(c.Permissions, permission) || slices.Contains(c.Tenants[tenant].Permissions, permission)
}
