package latchkey

import (
	"encoding/json"
	"time"
)

// User is a subject of sessions.
type User struct {
	ID         string          `json:"id"`
	LoginIDs   []string        `json:"loginIds"`
	Name       string          `json:"name,omitempty"`
	Email      string          `json:"email,omitempty"`
	Phone      string          `json:"phone,omitempty"`
	Status     string          `json:"status" enum:"enabled,disabled"`
	Attributes json.RawMessage `json:"attributes,omitempty" description:"What the application keeps of the user. Tokens show it only through a template."`
	Roles      []RoleName      `json:"roles" description:"Granted in the project."`
	Tenants    []Membership    `json:"tenants" description:"Where the user is a member. A disabled tenant is among them, and gives nothing."`
	CreatedAt  time.Time       `json:"createdAt"`
	UpdatedAt  time.Time       `json:"updatedAt"`
}

// RoleName is a role that somebody has.
type RoleName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Membership is a user's place in a tenant.
type Membership struct {
	Tenant string     `json:"tenant" description:"The tenant's id."`
	Name   string     `json:"name" description:"The tenant's name."`
	Roles  []RoleName `json:"roles" description:"Granted in this tenant."`
}

// UserRequest adds or changes a user. Members that are nil stay as they are.
type UserRequest struct {
	LoginIDs   *[]string            `json:"loginIds,omitempty" description:"1 to 10 names by which the user is found, such as an e-mail address; each unique in the project."`
	Name       *string              `json:"name,omitempty"`
	Email      *string              `json:"email,omitempty"`
	Phone      *string              `json:"phone,omitempty" description:"E.164, such as +4915112345678."`
	Status     *string              `json:"status,omitempty" enum:"enabled,disabled" description:"disabled ends all sessions of the user."`
	Attributes json.RawMessage      `json:"attributes,omitempty" description:"JSON merge patch (RFC 7396): null takes an attribute out. The result has at most 50 members of 8 KiB in all, their names 1 to 60 characters."`
	Roles      *[]string            `json:"roles,omitempty" description:"The roles in the project, in place of those there are: ids, or names of roles of the project. At most 50."`
	Tenants    *[]MembershipRequest `json:"tenants,omitempty" description:"The memberships, in place of those there are. At most 50."`
}

// MembershipRequest makes a user a member of a tenant.
type MembershipRequest struct {
	Tenant string   `json:"tenant" required:"true" description:"The tenant's id."`
	Roles  []string `json:"roles,omitempty" description:"The roles there: ids, or names of roles of the tenant or else of the project. At most 50."`
}

// MembershipRoles are the roles of a member, in place of those they had.
type MembershipRoles struct {
	Roles []string `json:"roles,omitempty" description:"Ids, or names of roles of the tenant or else of the project. None given: a member without roles."`
}

// UserRoles are the roles of a user in the project, in place of those they had.
type UserRoles struct {
	Roles []string `json:"roles" required:"true" description:"Ids, or names of roles of the project; [] for none."`
}

// UserFilter says which users to list: those that match every member that is set. LoginID
// stands alone.
type UserFilter struct {
	LoginID     string    `query:"loginId" description:"Only the user with this login id, compared byte for byte. Not with other filters."`
	Query       string    `query:"query" maxLength:"200" description:"Part of a login id, name, e-mail address or phone number, in upper or lower case."`
	Tenant      string    `query:"tenant" description:"Tenant id: its members."`
	Role        string    `query:"role" description:"Role id, or name of a role (of the tenant, when one is given, or else of the project): who has it in the project or in any tenant; with tenant, who has it there."`
	Status      string    `query:"status" enum:"enabled,disabled"`
	CreatedFrom time.Time `query:"createdFrom"`
	CreatedTo   time.Time `query:"createdTo" description:"Exclusive."`
}

// UserList is a page of users.
type UserList struct {
	Users         []User `json:"users" description:"Oldest first."`
	NextPageToken string `json:"nextPageToken,omitempty" description:"Absent on the last page. While it is there, a page of a filtered list may hold fewer users than pageSize, even none."`
}

// UserBatch adds and removes many users, 1000 in all. Deletions come first, so that a login
// id that they free can be given again.
type UserBatch struct {
	Create []UserRequest `json:"create,omitempty" maxItems:"1000"`
	Delete []string      `json:"delete,omitempty" maxItems:"1000" description:"User ids."`
}

// UserBatchResult says what became of each user of a batch, in the order of the request.
type UserBatchResult struct {
	Created int           `json:"created" description:"How many were created."`
	Deleted int           `json:"deleted" description:"How many were deleted."`
	Refused int           `json:"refused" description:"How many were refused."`
	Create  []UserOutcome `json:"create" description:"One for each user to be created."`
	Delete  []UserOutcome `json:"delete" description:"One for each user to be deleted."`
}

// UserOutcome is what became of one user of a batch.
type UserOutcome struct {
	Status  string       `json:"status" enum:"created,deleted,refused"`
	ID      string       `json:"id,omitempty" description:"Of the user who was created, or was to be deleted."`
	User    *User        `json:"user,omitempty" description:"The user who was created. Absent when the answer would become too large."`
	Problem *ItemProblem `json:"problem,omitempty" description:"Why it was refused."`
}

// ItemProblem is why one item of a request was refused that did others.
type ItemProblem struct {
	Code   Code         `json:"code"`
	Detail string       `json:"detail"`
	Errors []FieldError `json:"errors,omitempty" description:"What is wrong; pointers lead into the whole request, such as /create/3/email."`
}
