package policy

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/latchkey-dev/latchkey"
)

// CookieNames returns the names of the cookies as browsers see them, with their prefix
// if they have one.
func CookieNames(c latchkey.Cookies) (session, refresh string) {
	prefix := "__Secure-"
	switch {
	case c.Prefix == "none":
		prefix = ""
	case c.Domain == "" && c.Path == "/":
		prefix = "__Host-Http-"
	}
	return prefix + c.SessionName, prefix + c.RefreshName
}

// CookieConfig returns what valid settings mean for the cookies of a project.
func CookieConfig(c latchkey.Cookies) latchkey.CookieConfig {
	return latchkey.CookieConfig{
		SessionName: c.SessionName, RefreshName: c.RefreshName, NoPrefix: c.Prefix == "none",
		Domain: c.Domain, Path: c.Path, SameSite: c.SameSite, Partitioned: c.Partitioned, Persistent: c.Persistent,
		PreviousDomains: c.PreviousDomains,
	}
}

// cookieWarnings returns what is worth a second look about cookies that are allowed.
func cookieWarnings(s latchkey.Settings, publicHost string) []latchkey.Warning {
	var w []latchkey.Warning
	warn := func(pointer, format string, args ...any) {
		w = append(w, latchkey.Warning{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	c, own := s.Cookies, s.CustomDomain
	if own == "" && byCookie(s) {
		own = publicHost
	}
	if own != "" && c.Domain != "" {
		if enough := narrowest(own, s.ApprovedOrigins); enough != c.Domain && within(enough, c.Domain) {
			warn("/cookies/domain", "%s is wider than needed: every host below it gets the cookies; %s is enough for %s", c.Domain, enough, whom(s, enough, own))
		}
	}
	if !byCookie(s) {
		return w
	}
	if c.Prefix == "none" && !prefixed(c.RefreshName, "__Host-") {
		warn("/cookies/prefix", "without a prefix any other host of the site can plant cookies of these names")
	}
	if c.Path != "/" {
		warn("/cookies/path", "browsers send the cookies to addresses below %.80s only; the end-user endpoints are below the issuer's path, and at a customDomain below /", c.Path)
	}
	switch {
	case c.SameSite == "none" && !c.Partitioned:
		warn("/cookies/sameSite", "browsers that block third-party cookies keep none of these: set partitioned, or serve the pages from the same site and use strict")
	case c.SameSite != "none" && c.Partitioned:
		warn("/cookies/partitioned", "a cookie with sameSite %s is never sent from another site, which is what partitioned is for", c.SameSite)
	}
	for i, origin := range s.ApprovedOrigins {
		if host := hostOf(origin); own != "" && c.SameSite != "none" && site(host) != site(own) {
			warn(fmt.Sprintf("/approvedOrigins/%d", i), "%.80s is another site than %s: its pages never send cookies with sameSite %s", origin, own, c.SameSite)
		}
	}
	return w
}

func whom(s latchkey.Settings, enough, own string) string {
	switch {
	case enough != own:
		return own + " and the approved origins"
	case s.CustomDomain != "":
		return "the custom domain"
	default:
		return "this server"
	}
}

// narrowest returns the narrowest domain that own and the origins of its site are in.
func narrowest(own string, origins []string) string {
	enough := own
	for _, origin := range origins {
		host := hostOf(origin)
		if site(host) != site(own) {
			continue
		}
		for !within(host, enough) {
			_, enough, _ = strings.Cut(enough, ".")
		}
	}
	return enough
}

// site is the registrable domain of a host; what has none, such as localhost or an
// address, is a site of its own.
func site(host string) string {
	if numeric(host) || strings.Contains(host, ":") {
		return host
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

// hostOf returns the host of an origin that has been checked.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return origin
	}
	return u.Hostname()
}
