package latchkey

import (
	"fmt"
	"net/url"
	"time"
)

const (
	crowdedCookie = 3600     // bytes of the 4096, when it is time to look
	crowdedHeader = 6 << 10  // of the 8 KiB that many servers take of all headers
	longestLife   = 400 * 24 // hours that browsers keep any cookie (RFC 6265bis, 5.5)
	cloakedLife   = 7 * 24 * time.Hour
)

func (d *doctor) sameSite() {
	if d.site.Links && d.c.SameSite == "strict" {
		d.add(SeverityWarning, "strict_links", "SameSite",
			"Who follows a link from another site, or comes back from a sign-in provider, arrives without SameSite=Strict cookies and looks signed out until the next click.",
			`Let SameSite be "lax", which sends cookies with such navigations but not with forms and scripts of other sites; or let the page of arrival go on to another one by itself.`)
	}
	if d.c.SameSite != "none" {
		if d.c.Partitioned {
			d.add(SeverityWarning, "partitioned_idle", "Partitioned",
				"A partitioned cookie is of use in frames of other sites, and SameSite="+sameSiteText(d.c.SameSite)+" keeps it from being sent there.",
				`Leave Partitioned out, or let SameSite be "none".`)
		}
		return
	}
	if !d.site.OriginCheck {
		d.add(SeverityError, "none_csrf", "SameSite",
			"With SameSite=None pages of any site can send requests that carry the cookies.",
			"Check the origin of every state-changing request (Middleware does), or choose strict or lax.")
	}
	if !d.crossSite() {
		d.add(SeverityWarning, "none_needless", "SameSite",
			"SameSite=None is for requests from other sites, and there are none here.", `Let SameSite be "lax" or "strict".`)
	}
}

// crossSite tells whether another site is involved at all.
func (d *doctor) crossSite() bool {
	for _, text := range append(append([]string{d.setter.String()}, d.site.APIs...), d.site.Embedders...) {
		if u, err := url.Parse(text); err == nil && !d.samesite(d.page, u) {
			return true
		}
	}
	return false
}

// callers looks at every address that the pages call with the cookies.
func (d *doctor) callers() {
	seen := map[string]bool{d.page.Scheme + d.page.Host: true}
	targets := []*url.URL{d.setter}
	for _, text := range d.site.APIs {
		if u := d.address("An API", text); u != nil {
			targets = append(targets, u)
		}
	}
	for _, u := range targets {
		if origin := u.Scheme + u.Host; !seen[origin] {
			seen[origin] = true
			d.call(u)
		}
	}
}

// call looks at requests from the pages to one address.
func (d *doctor) call(to *url.URL) {
	from, host := d.page, to.Hostname()
	if from.Scheme == "https" && to.Scheme == "http" && !loopbackURL(to) {
		d.add(SeverityError, "mixed_content", "", "Pages at https://"+from.Host+" may not call http://"+to.Host+": browsers block it as mixed content.", "Serve "+to.Host+" over https.")
		return
	}
	switch {
	case host != d.setter.Hostname() && (d.c.Domain == "" || d.plainLocal()):
		d.add(SeverityError, "not_covered", "Domain",
			"The cookies are for "+d.setter.Hostname()+" alone; requests to "+host+" don't carry them.",
			"Let "+d.setter.Hostname()+" pass the calls on to "+host+", or send the session token in the Authorization header. A Domain that covers both works only if every host below it can be trusted.")
		return
	case host != d.setter.Hostname() && !covers(d.c.Domain, host):
		d.add(SeverityError, "not_covered", "Domain",
			"The cookies are for "+d.c.Domain+" and the hosts below it; requests to "+host+" don't carry them.",
			"Let "+d.setter.Hostname()+" pass the calls on to "+host+", or send the session token in the Authorization header.")
		return
	}
	switch {
	case d.samesite(from, to) && from.Scheme == to.Scheme:
		return
	case d.samesite(from, to):
		if d.c.SameSite != "none" {
			d.add(SeverityError, "cross_scheme", "SameSite",
				from.Scheme+" and "+to.Scheme+" of one host are different sites: calls from "+from.Scheme+"://"+from.Host+" to "+to.Scheme+"://"+to.Host+" don't carry SameSite="+sameSiteText(d.c.SameSite)+" cookies.",
				"Use https for both.")
			d.in("Chrome and Edge; others look at the host alone")
		}
	case d.c.SameSite != "none" && loopbackURL(from) && loopbackURL(to):
		d.add(SeverityError, "loopback_names", "SameSite",
			from.Hostname()+" and "+host+" are the same machine but different sites: calls don't carry SameSite="+sameSiteText(d.c.SameSite)+" cookies.",
			"Use one name for both, such as localhost; the port may differ.")
	case d.c.SameSite != "none":
		d.add(SeverityError, "cross_site", "SameSite",
			host+" isn't of the same site as "+from.Hostname()+": calls from pages there don't carry SameSite="+sameSiteText(d.c.SameSite)+" cookies.",
			"Put it on a custom domain below the site of the pages, let the application's own server set the cookies, or take tokens in the body.")
	default:
		d.thirdParty(from.Hostname() + " calls " + host + " of another site")
	}
}

func (d *doctor) thirdParty(what string) {
	if !d.c.Partitioned {
		d.add(SeverityError, "third_party", "Partitioned",
			what+": without Partitioned these are third-party cookies, which browsers block or keep apart.",
			"Set Partitioned, or put both on one site.")
		d.in("Safari blocks them, Firefox gives them a jar of their own, Chrome and Edge block them where the user or an administrator says so")
		return
	}
	d.add(SeverityInfo, "partitioned", "Partitioned",
		what+": the cookies live in a jar of their own there. Who signed in elsewhere isn't signed in here.", "")
}

func (d *doctor) embedders() {
	for _, text := range d.site.Embedders {
		u := d.address("An embedder", text)
		if u == nil || d.samesite(d.page, u) {
			continue
		}
		what := d.page.Hostname() + " in a frame of " + u.Hostname()
		if d.c.SameSite != "none" {
			d.add(SeverityError, "framed", "SameSite",
				what+" neither gets nor keeps SameSite="+sameSiteText(d.c.SameSite)+" cookies.",
				`Let SameSite be "none" and Partitioned be true.`)
			continue
		}
		d.thirdParty(what)
	}
}

func (d *doctor) sizes() {
	total := 0
	for i, size := range []int{d.site.SessionToken, d.site.RefreshToken} {
		if size <= 0 {
			continue
		}
		n := d.names[i]
		name := n.sent
		if d.plainLocal() {
			name = n.bare
		}
		bytes := len(name) + d.sealedSize(size)
		total += bytes
		fix := "Put fewer claims into tokens: look them up by the session's or the user's id, or keep tokens in a vault."
		switch {
		case bytes > maxCookie:
			d.add(SeverityError, "cookie_size", "name", fmt.Sprintf("%s would be %d bytes with its name. Browsers keep %d and drop what is larger without a sign.", name, bytes, maxCookie), fix)
		case bytes > crowdedCookie:
			d.add(SeverityWarning, "cookie_size", "name", fmt.Sprintf("%s is %d of at most %d bytes; a user with more roles may be over it.", name, bytes, maxCookie), fix)
		}
	}
	if total > crowdedHeader {
		d.add(SeverityWarning, "header_size", "", fmt.Sprintf("Both cookies are %d bytes, and many servers and proxies refuse requests with more than 8192 bytes of headers (431).", total),
			"Raise that limit (nginx: large_client_header_buffers), or put fewer claims into tokens.")
	}
}

func (d *doctor) life() {
	if !d.c.Persistent {
		d.add(SeverityInfo, "session_cookie", "Max-Age", "The cookies end with the browser's run; a browser that restores its tabs keeps them.", "Set Persistent for \"remember me\".")
		return
	}
	if d.site.RefreshLife > longestLife*time.Hour {
		d.add(SeverityInfo, "life_capped", "Max-Age", "Browsers keep no cookie longer than 400 days.", "")
	}
	if d.setter.Hostname() != d.page.Hostname() && d.samesite(d.page, d.setter) && (d.site.RefreshLife == 0 || d.site.RefreshLife > cloakedLife) {
		d.add(SeverityWarning, "seven_days", "Max-Age",
			d.setter.Hostname()+" sets the cookies for pages of "+d.page.Hostname()+". When it is an alias (CNAME) of another company's host, or has addresses of another network, Safari forgets the cookies after 7 days without a visit.",
			"Serve both from the same network, or let the application's own server set the cookies.")
		d.in("Safari")
	}
}

func (d *doctor) migration() {
	if d.c.AcceptPlain {
		d.add(SeverityWarning, "accept_plain", "", "Cookies that aren't encrypted are accepted.", "Take AcceptPlain away when the longest session has been refreshed once.")
	}
	if len(d.c.PreviousDomains) > 0 {
		d.add(SeverityInfo, "previous_domains", "Domain",
			"As long as there are PreviousDomains, cookies that other hosts below them may have planted are read too.",
			"Empty PreviousDomains when every session has been refreshed since the move.")
	}
}
