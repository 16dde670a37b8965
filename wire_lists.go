package latchkey

import "time"

// SessionFilter says which sessions to list: those that match every member that is set.
type SessionFilter struct {
	User        string    `query:"user" description:"User id."`
	Tenant      string    `query:"tenant" description:"Tenant id: sessions in which it is the current one."`
	State       string    `query:"state" enum:"active,ended,expired"`
	CreatedFrom time.Time `query:"createdFrom"`
	CreatedTo   time.Time `query:"createdTo"`
	IP          string    `query:"ip" description:"Address or network (CIDR) of the device."`
}

// SessionList is a page of sessions.
type SessionList struct {
	Sessions      []Session `json:"sessions" description:"Newest first. There may be none although there are further pages."`
	NextPageToken string    `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}

// EventFilter says which events to list: those that match every member that is set.
type EventFilter struct {
	Types     []string  `query:"type" description:"Only events of these types, separated by commas; user.* stands for all of one kind."`
	Session   string    `query:"session" description:"Session id."`
	User      string    `query:"user" description:"User id."`
	Tenant    string    `query:"tenant" description:"Tenant id: events that name the tenant."`
	Actor     string    `query:"actor" maxLength:"60" description:"Who did it, as events show it: system, cli, user:usr_…, key:mk_…."`
	IP        string    `query:"ip" maxLength:"45" description:"Address from which it was asked for."`
	RequestID string    `query:"requestId" maxLength:"128" description:"Request id, as answers and problems have it."`
	From      time.Time `query:"from"`
	To        time.Time `query:"to" description:"Exclusive."`
}

// EventList is a page of the audit log. It may hold fewer events than were asked for, even
// none, while there is a next one: the server looks at a bounded part of the log at once.
type EventList struct {
	Events        []Event `json:"events" description:"Newest first. There may be few or none although there is a next page: one page comes of a bounded part of the log."`
	NextPageToken string  `json:"nextPageToken,omitempty" description:"Absent on the last page, and on no other."`
}

// SigningKeyList is all signing keys of a project.
type SigningKeyList struct {
	Keys []SigningKey `json:"keys" description:"Oldest first."`
}

// ManagementKeyList is a page of management keys.
type ManagementKeyList struct {
	Keys          []ManagementKey `json:"keys" description:"Oldest first."`
	NextPageToken string          `json:"nextPageToken,omitempty" description:"Absent on the last page."`
}
