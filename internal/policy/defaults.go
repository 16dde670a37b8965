package policy

import (
	"time"

	"github.com/latchkey-dev/latchkey"
)

const day = 24 * time.Hour

// Defaults returns the settings that a project starts with, and that null puts back.
// The lists are empty, never nil, so that they are written as [] and not as null. Each
// call returns lists of its own.
func Defaults() latchkey.Settings {
	return latchkey.Settings{
		SessionTokenTTL:   latchkey.Duration(10 * time.Minute),
		AbsoluteTimeout:   latchkey.Duration(28 * day),
		IdleTimeout:       0,
		StepUpTTL:         latchkey.Duration(10 * time.Minute),
		MaxSessions:       0,
		OnLimit:           "endOldest",
		AccessKeyTokenTTL: latchkey.Duration(10 * time.Minute),

		Rotation:         "always",
		ReuseWindow:      latchkey.Duration(20 * time.Second),
		RefreshRateLimit: 0,
		ForeignReplay:    "alert",

		Delivery: latchkey.Delivery{Session: "body", Refresh: "body"},
		Cookies: latchkey.Cookies{
			SessionName:     "DS",
			RefreshName:     "DSR",
			Prefix:          "auto",
			Domain:          "",
			Path:            "/",
			SameSite:        "strict",
			Partitioned:     false,
			Persistent:      false,
			PreviousDomains: []string{},
		},

		RefreshTokenFormat:   "jwt",
		SigningAlgorithm:     "ES256",
		KeyRotation:          latchkey.Duration(30 * day),
		Audience:             []string{},
		AutoTenant:           true,
		ClaimsInRefreshToken: true,
		ClaimLint:            "warn",
		ClockSkew:            latchkey.Duration(time.Minute),

		ApprovedOrigins:   []string{},
		ApprovedRedirects: []string{},
		CustomDomain:      "",
	}
}

// Complete returns s with the default in place of what settings that were stored by an
// earlier version don't have. It leaves names as they are that have a prefix of their own.
func Complete(s latchkey.Settings) latchkey.Settings {
	d := Defaults().Cookies
	if s.Cookies.Prefix == "" {
		s.Cookies.Prefix = d.Prefix
		if prefixed(s.Cookies.SessionName, "__") || prefixed(s.Cookies.RefreshName, "__") {
			s.Cookies.Prefix = "none"
		}
	}
	if s.Cookies.PreviousDomains == nil {
		s.Cookies.PreviousDomains = d.PreviousDomains
	}
	return s
}
