package latchkey

import (
	"encoding/json"
	"time"
)

// AccessKey is a machine with grants of its own, without its secret.
type AccessKey struct {
	ID          string          `json:"id" description:"The sub of its tokens."`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Status      string          `json:"status" enum:"enabled,disabled"`
	User        string          `json:"user,omitempty" description:"Id of the user whose key it is: it ends with them."`
	Roles       []RoleName      `json:"roles" description:"Granted in the project."`
	Tenants     []Membership    `json:"tenants" description:"Where it is a member. A disabled tenant is among them, and gives nothing."`
	Claims      json.RawMessage `json:"claims,omitempty" description:"Secure custom claims of its tokens."`
	Attributes  json.RawMessage `json:"attributes,omitempty" description:"What templates may use."`
	Networks    []string        `json:"networks" description:"Networks (CIDR) it may be used from; empty for all."`
	CreatedAt   time.Time       `json:"createdAt"`
	UpdatedAt   time.Time       `json:"updatedAt"`
	ExpiresAt   *time.Time      `json:"expiresAt,omitempty"`
	LastUsedAt  *time.Time      `json:"lastUsedAt,omitempty" description:"When it was last exchanged, exact to an hour."`
}

// NewAccessKey is the only answer that shows the secret of an access key.
type NewAccessKey struct {
	Key    AccessKey `json:"key"`
	Secret string    `json:"secret" description:"Shown once; only a digest is kept."`
}

// AccessKeyRequest makes or changes an access key. Members that are nil stay as they are.
type AccessKeyRequest struct {
	Name         *string              `json:"name,omitempty" description:"1 to 200 characters; needed for a new key."`
	Description  *string              `json:"description,omitempty" description:"At most 500 characters."`
	Status       *string              `json:"status,omitempty" enum:"enabled,disabled" description:"A disabled key, and what was got with it, is refused."`
	User         string               `json:"user,omitempty" description:"Only of a new key: id of the user whose key it is. It is refused while they are disabled and goes when they are deleted."`
	Roles        *[]string            `json:"roles,omitempty" description:"The roles in the project, in place of those there are: ids, or names of roles of the project. At most 50."`
	Tenants      *[]MembershipRequest `json:"tenants,omitempty" description:"The memberships, in place of those there are. At most 50."`
	Claims       json.RawMessage      `json:"claims,omitempty" description:"JSON merge patch for the secure custom claims of its tokens: null takes a claim out."`
	Attributes   json.RawMessage      `json:"attributes,omitempty" description:"JSON merge patch for its attributes."`
	Networks     *[]string            `json:"networks,omitempty" description:"Networks (CIDR) it may be used from; none: any. At most 50."`
	ExpiresAt    *time.Time           `json:"expiresAt,omitempty"`
	NeverExpires bool                 `json:"neverExpires,omitempty" description:"Takes an expiry away. Excludes expiresAt."`
}

// AccessKeyFilter says which access keys to list: those that match every member that is
// set.
type AccessKeyFilter struct {
	User   string `query:"user" description:"User id: only keys of this user."`
	Status string `query:"status" enum:"enabled,disabled"`
	Query  string `query:"query" maxLength:"200" description:"Part of the name in upper or lower case, or the id."`
}

// AccessKeyList is a page of access keys.
type AccessKeyList struct {
	Keys          []AccessKey `json:"keys" description:"Oldest first. There may be fewer than asked for, even none, although there are more."`
	NextPageToken string      `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}

// ExchangeBody is the body of an exchange of an access key. Client.ExchangeAccessKey makes
// it.
type ExchangeBody struct {
	Claims json.RawMessage `json:"claims,omitempty" description:"Claims that the machine chooses itself: an object; nsec in the token."`
	Tenant string          `json:"tenant,omitempty" description:"Id of the tenant that is to be the current one (dct); one of its own."`
}

// MachineToken is a session token without a session: what an access key is exchanged for.
// It holds a secret: never log one.
type MachineToken struct {
	SessionToken     string    `json:"sessionToken" description:"JWT (typ at+jwt) that applications verify like that of a user; sub is the id of the access key. There is no refresh token: exchange again."`
	SessionExpiresAt time.Time `json:"sessionExpiresAt"`
	AccessKey        string    `json:"accessKey" description:"Id of the access key."`
	ServerTime       time.Time `json:"serverTime" description:"The server's clock, to correct the client's."`
}
