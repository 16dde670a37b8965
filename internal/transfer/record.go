package transfer

import (
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// Kind is what a line is about.
type Kind string

// The kinds, in the order in which an export has them; those of a tenant stand behind it.
const (
	Project    Kind = "project"
	Permission Kind = "permission"
	Role       Kind = "role"
	Tenant     Kind = "tenant"
	User       Kind = "user"
	AccessKey  Kind = "accessKey"
	Template   Kind = "template" // and sign-in actions
	Webhook    Kind = "webhook"
	end        Kind = "end"
)

// Kinds returns all that are counted.
func Kinds() []Kind {
	return []Kind{Project, Permission, Role, Tenant, User, AccessKey, Template, Webhook}
}

// format is the version of the lines.
const format = 1

// The lines. Members that are absent leave what is stored as it is; an export has all of
// them.
type (
	header struct {
		Latchkey string `json:"latchkey" required:"true" enum:"project"`
		Version  int    `json:"version" required:"true" minimum:"1" maximum:"1"`
	}

	projectRecord struct {
		Kind     Kind            `json:"kind"`
		ID       id.Project      `json:"id"`
		Name     *string         `json:"name,omitempty"`
		Settings json.RawMessage `json:"settings,omitempty"`
	}

	permissionRecord struct {
		Kind        Kind       `json:"kind"`
		Name        string     `json:"name" required:"true"`
		Description *string    `json:"description,omitempty"`
		CreatedAt   *time.Time `json:"createdAt,omitempty"`
	}

	roleRecord struct {
		Kind        Kind       `json:"kind"`
		ID          id.Role    `json:"id" required:"true"`
		Tenant      *id.Tenant `json:"tenant,omitempty"`
		Name        *string    `json:"name,omitempty"`
		Description *string    `json:"description,omitempty"`
		Permissions *[]string  `json:"permissions,omitempty"`
		CreatedAt   *time.Time `json:"createdAt,omitempty"`
	}

	tenantRecord struct {
		Kind       Kind            `json:"kind"`
		ID         id.Tenant       `json:"id" required:"true"`
		Name       *string         `json:"name,omitempty"`
		Status     *string         `json:"status,omitempty" enum:"enabled,disabled"`
		Attributes json.RawMessage `json:"attributes,omitempty"`
		Settings   json.RawMessage `json:"settings,omitempty"`
		CreatedAt  *time.Time      `json:"createdAt,omitempty"`
	}

	userRecord struct {
		Kind       Kind            `json:"kind"`
		ID         *id.User        `json:"id,omitempty"`
		LoginIDs   *[]string       `json:"loginIds,omitempty"`
		Name       *string         `json:"name,omitempty"`
		Email      *string         `json:"email,omitempty"`
		Phone      *string         `json:"phone,omitempty"`
		Status     *string         `json:"status,omitempty" enum:"enabled,disabled"`
		Attributes json.RawMessage `json:"attributes,omitempty"`
		Roles      *[]string       `json:"roles,omitempty"` // ids, or names of the project's roles
		Tenants    *[]memberRecord `json:"tenants,omitempty"`
		CreatedAt  *time.Time      `json:"createdAt,omitempty"`
	}

	memberRecord struct {
		Tenant string   `json:"tenant" required:"true"`
		Roles  []string `json:"roles"` // ids, or names of the tenant's or the project's roles
	}

	accessKeyRecord struct {
		Kind        Kind            `json:"kind"`
		ID          id.AccessKey    `json:"id" required:"true"`
		Digest      *string         `json:"digest,omitempty"` // SHA-256 of the secret, in hexadecimal digits
		Name        *string         `json:"name,omitempty"`
		Description *string         `json:"description,omitempty"`
		Status      *string         `json:"status,omitempty" enum:"enabled,disabled"`
		User        *id.User        `json:"user,omitempty"`
		Claims      json.RawMessage `json:"claims,omitempty"`
		Attributes  json.RawMessage `json:"attributes,omitempty"`
		Roles       *[]string       `json:"roles,omitempty"` // ids, or names of the project's roles
		Tenants     *[]memberRecord `json:"tenants,omitempty"`
		Networks    *[]string       `json:"networks,omitempty"`
		ExpiresAt   *string         `json:"expiresAt,omitempty"` // a time, or never
		CreatedAt   *time.Time      `json:"createdAt,omitempty"`
	}

	templateRecord struct {
		Kind      Kind             `json:"kind"`
		Of        string           `json:"of" required:"true" enum:"user,accessKey,signIn"`
		Stable    *documentRecord  `json:"stable,omitempty"`
		Candidate *candidateRecord `json:"candidate,omitempty"`
		Previous  *documentRecord  `json:"previous,omitempty"`
	}

	documentRecord struct {
		Document  json.RawMessage `json:"document" required:"true"`
		Comment   *string         `json:"comment,omitempty" maxLength:"500"`
		CreatedAt *time.Time      `json:"createdAt,omitempty"`
	}

	candidateRecord struct {
		Percent   int             `json:"percent" required:"true" minimum:"0" maximum:"99"`
		Document  json.RawMessage `json:"document" required:"true"`
		Comment   *string         `json:"comment,omitempty" maxLength:"500"`
		CreatedAt *time.Time      `json:"createdAt,omitempty"`
	}

	webhookRecord struct {
		Kind        Kind       `json:"kind"`
		ID          id.Webhook `json:"id" required:"true"`
		URL         *string    `json:"url,omitempty"`
		Types       *[]string  `json:"types,omitempty"`
		Description *string    `json:"description,omitempty"`
		Enabled     *bool      `json:"enabled,omitempty"` // to be read by people
		CreatedAt   *time.Time `json:"createdAt,omitempty"`
	}

	endRecord struct {
		Kind   Kind         `json:"kind"`
		Counts map[Kind]int `json:"counts"`
	}
)

// endLine reads an endRecord: a map has no plan of members that are known.
type endLine struct {
	Kind   Kind            `json:"kind"`
	Counts json.RawMessage `json:"counts" required:"true"`
}

// tenantSettings is the JSON of what a tenant overrides, {} for nothing.
func tenantSettings(s latchkey.TenantSettings) (json.RawMessage, error) { return json.Marshal(s) }

// Counts is how many lines of each kind there are.
type Counts map[Kind]int

// Total is the number of all lines that are about something.
func (c Counts) Total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}
