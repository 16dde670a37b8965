package latchkey

import "time"

// Project is one application with users, keys and settings of its own.
type Project struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Status    string     `json:"status" enum:"enabled,disabled,deleted" description:"Sign-ins are refused and sessions are over in a project that isn't enabled."`
	CreatedAt time.Time  `json:"createdAt"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" description:"Only of a deleted project: all that it has is removed once its last token has expired."`
}

// ProjectRequest changes a project. Members that are nil stay as they are.
type ProjectRequest struct {
	Name   *string `json:"name,omitempty" description:"1 to 200 characters."`
	Status *string `json:"status,omitempty" enum:"enabled,disabled" description:"disabled ends all sessions of the project, for good, and refuses sign-ins until it is enabled again."`
}

// DeleteProjectRequest says which project is deleted, so that nobody does it by mistake.
type DeleteProjectRequest struct {
	Confirm string `json:"confirm" description:"The project's id, once more."`
}
