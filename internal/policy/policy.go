// Package policy owns what a project decides about its sessions: the settings, their
// ranges and contradictions, and the lifetimes and limits that follow from them. It is
// pure: no clock, no store.
package policy

import (
	"time"

	"github.com/latchkey-dev/latchkey"
)

// LimitWindow is the span in which RotationLimit counts.
const LimitWindow = 15 * time.Minute

// ForeignReplay is what follows when a refresh is repeated inside the reuse window from
// another network or browser.
type ForeignReplay uint8

// The reactions, from lax to strict.
const (
	AllowForeign ForeignReplay = iota // nothing
	AlertForeign                      // an event
	EndForeign                        // an event; the second one ends the session
)

// Policy is what the settings mean for one session. It is comparable.
type Policy struct {
	SessionTokenTTL time.Duration
	AbsoluteTimeout time.Duration
	IdleTimeout     time.Duration // 0: none
	ReuseWindow     time.Duration // W
	StepUpTTL       time.Duration
	RotationLimit   int  // rotations of one session in LimitWindow
	AutoLimit       bool // RotationLimit is what SessionTokenTTL asks for
	ForeignReplay   ForeignReplay
	Rotate          bool // false: refreshes never replace the refresh token
	MaxSessions     int  // 0: no limit
	DenyOverLimit   bool // over MaxSessions: refuse the sign-in instead of ending the oldest session
}

// Of returns the policy that valid settings mean.
func Of(s latchkey.Settings) Policy {
	p := Policy{
		SessionTokenTTL: s.SessionTokenTTL.Std(),
		AbsoluteTimeout: s.AbsoluteTimeout.Std(),
		IdleTimeout:     s.IdleTimeout.Std(),
		ReuseWindow:     s.ReuseWindow.Std(),
		StepUpTTL:       s.StepUpTTL.Std(),
		RotationLimit:   int(s.RefreshRateLimit),
		AutoLimit:       s.RefreshRateLimit == 0,
		Rotate:          s.Rotation != "never",
		MaxSessions:     s.MaxSessions,
		DenyOverLimit:   s.OnLimit == "deny",
	}
	switch s.ForeignReplay {
	case "alert":
		p.ForeignReplay = AlertForeign
	case "end":
		p.ForeignReplay = EndForeign
	}
	if p.AutoLimit {
		p.RotationLimit = automaticLimit(p.SessionTokenTTL)
	}
	return p
}

// automaticLimit is three times what a client needs that refreshes when its token ends,
// so that only a loop or a thief meets the limit.
func automaticLimit(ttl time.Duration) int {
	return max(5, int(3*LimitWindow/max(ttl, time.Second)))
}
