package latchkey

import "time"

// TenantSettingsAnswer is what reading or changing the settings of a tenant returns.
type TenantSettingsAnswer struct {
	Settings  TenantSettings `json:"settings" description:"What the tenant overrides. Everything else is left to the project."`
	Effective TenantSettings `json:"effective" description:"What is in force for a user whose only tenant this is: of project and tenant, the stricter."`
	Warnings  []Warning      `json:"warnings" description:"Values that are allowed but worth a second look."`
}

// DryRun is what a change of settings would do to the sessions that live now. Sessions =
// Ended + Shortened + Extended + Unchanged.
type DryRun struct {
	Sessions  int          `json:"sessions" description:"Live sessions that were looked at: all of the project, or of the tenant's members."`
	Ended     int          `json:"ended" description:"Of these, how many would be over at once."`
	Shortened int          `json:"shortened" description:"How many would run out earlier than now."`
	Extended  int          `json:"extended" description:"How many would run out later than now."`
	Unchanged int          `json:"unchanged"`
	Sample    DryRunSample `json:"sample"`
	Warnings  []Warning    `json:"warnings" description:"Those that the change itself would answer."`
}

// DryRunSample is the first sessions of each kind, at most 20, oldest first.
type DryRunSample struct {
	Ended     []DryRunSession `json:"ended"`
	Shortened []DryRunSession `json:"shortened"`
	Extended  []DryRunSession `json:"extended"`
}

// DryRunSession is what would happen to one session that isn't refreshed meanwhile.
type DryRunSession struct {
	Session    string    `json:"session"`
	User       string    `json:"user"`
	EndsAt     time.Time `json:"endsAt" description:"When it runs out by the settings as they are."`
	WouldEndAt time.Time `json:"wouldEndAt" description:"When it would run out by the changed settings; in the past for one that would end at once."`
}
