package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Limits of what a project can make others read, compare or count.
const (
	maxSessions    = 100_000
	maxRateLimit   = 100_000
	maxAddresses   = 100 // origins; redirects
	maxAudience    = 20
	maxAudienceLen = 200 // characters
	maxCookieName  = 64
	maxCookiePath  = 256
	maxPrevious    = 3 // domains that cookies had: each costs a header in some answers
)

// Check decides whether a project may have the settings on a server whose public URL has
// the host publicHost, without port; it may be empty when that isn't known. The error is a *fault.Error
// whose Fields hold every problem at once, with JSON pointers into the settings; a
// contradiction stands at both of its settings. Its kind is OutOfRange if any value is
// out of range or no member of its enumeration, else Contradiction if any two settings
// exclude each other, else Invalid.
//
// For settings that may be had it returns what is worth a second look; the list is
// never nil then.
func Check(s latchkey.Settings, publicHost string) ([]latchkey.Warning, error) {
	var p problems
	p.durations(s)
	p.counts(s)
	p.enumerations(s)
	p.addresses(s)
	p.cookies(s.Cookies)
	p.lifetimeClashes(s)
	p.deliveryClashes(s)
	p.cookieClashes(s)
	p.domainClashes(s, publicHost)
	if len(p) > 0 {
		return nil, fault.New(p.kind(), "these settings are refused").WithFields(p...)
	}
	return append(warnings(s), cookieWarnings(s, publicHost)...), nil
}

// span is the range of a duration.
type span struct {
	low, high time.Duration
	off       bool // zero is allowed though it is under low
	text      string
}

// spans returns the ranges that a project and its tenants have in common.
func spans() (sessionTokenTTL, absoluteTimeout, idleTimeout, stepUpTTL span) {
	return span{time.Minute, day, false, "1m to 24h"},
		span{3 * time.Minute, 730 * day, false, "3m to 730d"},
		span{5 * time.Minute, 730 * day, true, "off, or 5m to absoluteTimeout, which is 730d at most"},
		span{time.Minute, day, false, "1m to 24h"}
}

func (p *problems) within(pointer string, value latchkey.Duration, r span) {
	v := value.Std()
	if (v < r.low || v > r.high) && !(r.off && v == 0) {
		p.add(pointer, codeRange, "the range is %s", r.text)
	}
}

func (p *problems) durations(s latchkey.Settings) {
	ttl, absolute, idle, stepUp := spans()
	p.within("/sessionTokenTTL", s.SessionTokenTTL, ttl)
	p.within("/absoluteTimeout", s.AbsoluteTimeout, absolute)
	p.within("/idleTimeout", s.IdleTimeout, idle)
	p.within("/stepUpTTL", s.StepUpTTL, stepUp)
	p.within("/accessKeyTokenTTL", s.AccessKeyTokenTTL, span{3 * time.Minute, 28 * day, false, "3m to 28d"})
	p.within("/reuseWindow", s.ReuseWindow, span{0, 120 * time.Second, false, "0 to 120s"})
	p.within("/keyRotation", s.KeyRotation, span{2 * day, 730 * day, true, "off, or 2d to 730d"})
	p.within("/clockSkew", s.ClockSkew, span{0, 5 * time.Minute, false, "0 to 5m"})
}

func (p *problems) sessionLimit(n int) {
	if n < 0 || n > maxSessions {
		p.add("/maxSessionsPerUser", codeRange, "the range is 0 (no limit) to %d", maxSessions)
	}
}

func (p *problems) counts(s latchkey.Settings) {
	p.sessionLimit(s.MaxSessions)
	if s.RefreshRateLimit < 0 || s.RefreshRateLimit > maxRateLimit {
		p.add("/refreshRateLimit", codeRange, `the range is "auto", or 1 to %d`, maxRateLimit)
	}
}

func (p *problems) enumerations(s latchkey.Settings) {
	for _, e := range []struct {
		pointer, value string
		allowed        []string
	}{
		{"/onLimit", s.OnLimit, []string{"endOldest", "deny"}},
		{"/rotation", s.Rotation, []string{"always", "never"}},
		{"/foreignReplay", s.ForeignReplay, []string{"allow", "alert", "end"}},
		{"/delivery/session", s.Delivery.Session, []string{"body", "cookie"}},
		{"/delivery/refresh", s.Delivery.Refresh, []string{"body", "cookie"}},
		{"/cookies/prefix", s.Cookies.Prefix, []string{"auto", "none"}},
		{"/cookies/sameSite", s.Cookies.SameSite, []string{"strict", "lax", "none"}},
		{"/refreshTokenFormat", s.RefreshTokenFormat, []string{"jwt", "opaque"}},
		{"/signingAlgorithm", s.SigningAlgorithm, []string{"ES256", "EdDSA", "RS256"}},
		{"/claimLint", s.ClaimLint, []string{"off", "warn", "reject"}},
	} {
		p.oneOf(e.pointer, e.value, e.allowed...)
	}
}

func (p *problems) oneOf(pointer, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(pointer, codeRange, "one of %s is wanted", strings.Join(allowed, ", "))
	}
}

func (p *problems) addresses(s latchkey.Settings) {
	p.each("/audience", s.Audience, maxAudience, audienceFlaw)
	p.each("/approvedOrigins", s.ApprovedOrigins, maxAddresses, originFlaw)
	p.each("/approvedRedirects", s.ApprovedRedirects, maxAddresses, redirectFlaw)
	if s.CustomDomain != "" {
		p.format("/customDomain", domainFlaw(s.CustomDomain))
	}
}

// each checks the entries of a list, up to its limit: nobody repairs more by hand.
func (p *problems) each(pointer string, list []string, limit int, flaw func(string) string) {
	if len(list) > limit {
		p.add(pointer, codeRange, "the range is 0 to %d entries", limit)
		list = list[:limit]
	}
	for i, entry := range list {
		p.format(pointer+"/"+strconv.Itoa(i), flaw(entry))
	}
}

func (p *problems) format(pointer, flaw string) {
	if flaw != "" {
		p.add(pointer, codeFormat, "%s", flaw)
	}
}

// audienceFlaw says what is wrong with an entry of the aud claim, or "".
func audienceFlaw(s string) string {
	// The replacement character is what JSON decoding leaves of a broken escape: two
	// different texts would become one audience.
	bad := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if s == "" || utf8.RuneCountInString(s) > maxAudienceLen || strings.ContainsFunc(s, bad) {
		return "1 to " + strconv.Itoa(maxAudienceLen) + " printable characters are wanted"
	}
	return ""
}

func (p *problems) cookies(c latchkey.Cookies) {
	p.format("/cookies/sessionName", cookieNameFlaw(c.SessionName))
	p.format("/cookies/refreshName", cookieNameFlaw(c.RefreshName))
	p.format("/cookies/path", cookiePathFlaw(c.Path))
	if c.Domain != "" {
		p.format("/cookies/domain", domainFlaw(c.Domain))
	}
	p.each("/cookies/previousDomains", c.PreviousDomains, maxPrevious, domainFlaw)
}

// warnings returns what is worth a second look in settings that are allowed.
func warnings(s latchkey.Settings) []latchkey.Warning {
	w := []latchkey.Warning{}
	warn := func(pointer, detail string) { w = append(w, latchkey.Warning{Pointer: pointer, Detail: detail}) }
	if s.SessionTokenTTL.Std() > time.Hour {
		warn("/sessionTokenTTL", "over 60m: whoever checks tokens locally accepts a stolen one for so long")
	}
	switch window := s.ReuseWindow.Std(); {
	case window == 0:
		warn("/reuseWindow", "without a window a refresh can't be repeated: a lost answer or two tabs that refresh at once may log the user out")
	case window < 10*time.Second:
		warn("/reuseWindow", "under 10s: clients need up to half of the window for one refresh, and slow networks won't keep to it")
	}
	if s.Rotation == "never" && s.ForeignReplay == "end" {
		warn("/foreignReplay", "without rotation every refresh is compared with the sign-in: a user who changes networks twice is logged out")
	}
	return w
}
