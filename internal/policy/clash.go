package policy

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/latchkey-dev/latchkey"
)

func (p *problems) lifetimeClashes(s latchkey.Settings) {
	ttl, idle, absolute := s.SessionTokenTTL, s.IdleTimeout, s.AbsoluteTimeout
	if absolute > 0 && ttl > absolute {
		p.clash("/sessionTokenTTL", "/absoluteTimeout",
			"a token may not outlive its session: sessionTokenTTL (%s) is over absoluteTimeout (%s)", ttl, absolute)
	}
	if idle > 0 && ttl > idle {
		p.clash("/sessionTokenTTL", "/idleTimeout",
			"a client refreshes when its token ends, which is too late here: sessionTokenTTL (%s) is over idleTimeout (%s)", ttl, idle)
	}
	if absolute > 0 && idle > absolute {
		p.clash("/idleTimeout", "/absoluteTimeout",
			"the session ends before it can be idle so long: idleTimeout (%s) is over absoluteTimeout (%s)", idle, absolute)
	}
}

func (p *problems) deliveryClashes(s latchkey.Settings) {
	if s.Delivery.Session == "cookie" && s.Delivery.Refresh == "body" {
		p.clash("/delivery/session", "/delivery/refresh",
			"the refresh token would be open to scripts while the lesser session token is not: "+
				"delivery.session = cookie needs delivery.refresh = cookie")
	}
}

func (p *problems) cookieClashes(s latchkey.Settings) {
	c := s.Cookies
	if c.SessionName == c.RefreshName && !p.at("/cookies/sessionName") {
		p.clash("/cookies/sessionName", "/cookies/refreshName",
			"one cookie would overwrite the other: sessionName and refreshName are the same")
	}
	for _, name := range []struct{ pointer, value string }{
		{"/cookies/sessionName", c.SessionName}, {"/cookies/refreshName", c.RefreshName},
	} {
		if c.Prefix == "auto" && prefixed(name.value, "__") {
			p.clash(name.pointer, "/cookies/prefix",
				"browsers have rules for names that start with two underscores: leave the prefix of %.80s out, or set prefix to none", name.value)
			continue
		}
		if !prefixed(name.value, "__Host-") {
			continue
		}
		if c.Domain != "" {
			p.clash(name.pointer, "/cookies/domain",
				"browsers drop a cookie whose name starts with __Host- and that has a domain: %.80s, domain %.80s", name.value, c.Domain)
		}
		if c.Path != "/" {
			p.clash(name.pointer, "/cookies/path",
				"browsers drop a cookie whose name starts with __Host- and whose path is not /: %.80s, path %.80s", name.value, c.Path)
		}
	}
	if c.Domain != "" && slices.Contains(c.PreviousDomains, c.Domain) {
		p.clash("/cookies/previousDomains", "/cookies/domain",
			"cookies at the domain would be removed as leftovers: %.80s is both in previousDomains and domain", c.Domain)
	}
	if _, err := latchkey.NewCookieStore(CookieConfig(c)); err != nil && len(*p) == 0 {
		// Whatever else those say who write the cookies.
		p.add("/cookies", codeContradiction, "%v", err)
	}
	if byCookie(s) && c.SameSite == "none" && !c.Partitioned && len(s.ApprovedOrigins) == 0 {
		p.clash("/cookies/sameSite", "/approvedOrigins",
			"sameSite none is for pages of other sites, and there are none in approvedOrigins that may use the cookies")
	}
}

// byCookie tells whether tokens are delivered by cookie. A session token never is alone.
func byCookie(s latchkey.Settings) bool { return s.Delivery.Refresh == "cookie" }

// domainClashes checks that browsers accept the domain from the host that sets the
// cookies: the custom domain, or the server itself.
func (p *problems) domainClashes(s latchkey.Settings, publicHost string) {
	d := s.Cookies.Domain
	switch {
	case d == "" || p.at("/cookies/domain") || p.at("/customDomain"):
	case s.CustomDomain != "" && !settable(s.CustomDomain, d):
		p.clash("/cookies/domain", "/customDomain",
			"browsers refuse a cookie for %s from %s: cookies.domain must be customDomain or a parent of it, within one registrable domain",
			d, s.CustomDomain)
	case s.CustomDomain == "" && publicHost != "" && byCookie(s) && !settable(publicHost, d):
		p.clash("/cookies/domain", "/delivery/refresh",
			"browsers refuse a cookie for %s from %s, where this server is: delivery by cookie needs a cookies.domain that is the server's host or a parent of it, or a customDomain within it",
			d, publicHost)
	}
}

// prefixed tells whether name starts with prefix as browsers see it: they ignore case
// (RFC 6265bis, 5.7).
func prefixed(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// settable tells whether browsers let host set a cookie for domain. Not being a public
// suffix isn't enough: amazonaws.com is none, but its child s3.amazonaws.com is, and a
// host below the child must not reach its neighbours.
func settable(host, domain string) bool {
	site, err := publicsuffix.EffectiveTLDPlusOne(host)
	return err == nil && within(host, domain) && within(domain, site)
}

// within tells whether name is domain or a child of it.
func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}
