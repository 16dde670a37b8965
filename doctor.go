package latchkey

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Severity is how bad a Finding is.
type Severity string

// The severities. With an error, some browser refuses the cookies or doesn't send them,
// or they aren't safe.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// Finding is something that a browser would make of a configuration.
type Finding struct {
	Severity  Severity `json:"severity"`
	Code      string   `json:"code"`                // stable word
	Attribute string   `json:"attribute,omitempty"` // of the cookie that is the reason: Secure, SameSite, Domain, …
	Detail    string   `json:"detail"`              // what happens, and why
	Fix       string   `json:"fix,omitempty"`
	Browsers  string   `json:"browsers,omitempty"` // which ones, when they differ
}

// DoctorSite is where a configuration is to work. URLs are as a browser sees them, with
// scheme, and port if it isn't the default.
type DoctorSite struct {
	// URL of the application's pages. Required.
	URL string

	// SetBy is the URL of the server that sets the cookies, when it isn't the one of
	// the pages: the custom domain at which Latchkey delivers cookies, for instance.
	SetBy string

	// APIs are URLs that the pages call and that need the cookies.
	APIs []string

	// Embedders are URLs of pages that show the application in a frame.
	Embedders []string

	// Links tells that users come by links of other sites, such as a mail, a search
	// or the way back from a sign-in provider, and are to be signed in at once.
	Links bool

	// OriginCheck tells that state-changing requests are checked for their origin, as
	// Middleware does.
	OriginCheck bool

	// Proxied tells that TLS ends at a proxy in front of the server.
	Proxied bool

	// SessionToken and RefreshToken are sizes in bytes; 0 for unknown.
	SessionToken, RefreshToken int

	// RefreshLife is how long a refresh token lives; 0 for unknown.
	RefreshLife time.Duration

	// SameSite tells whether two hosts belong to one site: whether they have the same
	// registrable domain, which takes the public suffix list. The default goes by the
	// last two labels, which is wrong under suffixes such as co.uk.
	SameSite func(a, b string) bool
}

// Doctor explains what browsers would refuse or not send with configuration c on a
// site, and which attribute is the reason. The worst findings come first. None at all
// means that nothing speaks against it.
func Doctor(c CookieConfig, site DoctorSite) []Finding {
	d := &doctor{site: site}
	store, err := NewCookieStore(c)
	if err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			d.add(SeverityError, "config", "", problem, "")
		}
		return d.findings
	}
	d.c = store.config
	d.names = []cookieName{store.session, store.refresh}
	if d.site.SameSite == nil {
		d.site.SameSite = lastLabels
	}
	if d.page = d.address("URL", site.URL); d.page == nil {
		return d.findings
	}
	d.setter = d.page
	if site.SetBy != "" {
		if d.setter = d.address("SetBy", site.SetBy); d.setter == nil {
			return d.findings
		}
	}
	d.secure()
	d.domain()
	d.sameSite()
	d.prefix()
	d.callers()
	d.embedders()
	d.sizes()
	d.life()
	d.migration()
	slices.SortStableFunc(d.findings, func(a, b Finding) int { return cmp.Compare(rank(a.Severity), rank(b.Severity)) })
	return d.findings
}

func rank(s Severity) int {
	return slices.Index([]Severity{SeverityError, SeverityWarning, SeverityInfo}, s)
}

// doctor collects findings.
type doctor struct {
	c            CookieConfig // with defaults
	names        []cookieName // session, refresh
	site         DoctorSite
	page, setter *url.URL
	findings     []Finding
}

func (d *doctor) add(severity Severity, code, attribute, detail, fix string) {
	d.findings = append(d.findings, Finding{Severity: severity, Code: code, Attribute: attribute, Detail: detail, Fix: fix})
}

// in says which browsers the last finding is about.
func (d *doctor) in(browsers string) { d.findings[len(d.findings)-1].Browsers = browsers }

func (d *doctor) address(what, text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		d.add(SeverityError, "url", "", what+" isn't the address of a page: "+quoted(text), "Give it with scheme and host, such as https://app.example.com")
		return nil
	}
	u.Host, u.Scheme = strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	return u
}

// quoted shows a short piece of what was given, without what could be a password in it.
func quoted(text string) string {
	if strings.Contains(text, "@") || len(text) > 200 {
		return "(not shown)"
	}
	return `"` + strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, text) + `"`
}

// lastLabels is the site of a host without the public suffix list.
func lastLabels(a, b string) bool {
	return a == b || lastTwo(a) == lastTwo(b)
}

func lastTwo(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

func (d *doctor) samesite(a, b *url.URL) bool {
	x, y := a.Hostname(), b.Hostname()
	// localhost has no public suffix above it, and an address has no site but itself.
	if x == y || loopbackHost(x) || loopbackHost(y) {
		return x == y
	}
	return d.site.SameSite(x, y)
}

func loopbackURL(u *url.URL) bool { return loopbackHost(u.Hostname()) }

// covers tells whether a cookie of this Domain reaches host.
func covers(domain, host string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// plainLocal tells whether the cookies are written by the exception for localhost.
func (d *doctor) plainLocal() bool {
	return d.setter.Scheme == "http" && loopbackURL(d.setter) && !d.c.AlwaysSecure
}

func (d *doctor) secure() {
	host := d.setter.Hostname()
	switch {
	case d.setter.Scheme == "http" && !loopbackURL(d.setter):
		d.add(SeverityError, "insecure_origin", "Secure",
			"Browsers drop Secure cookies that come over plain http from "+host+". Only localhost, *.localhost, 127.0.0.1 and [::1] are exempt, not names of your own such as app.test.",
			"Serve it over https (mkcert makes certificates for development), or use http://localhost.")
	case d.setter.Scheme == "http" && d.c.AlwaysSecure:
		d.add(SeverityError, "secure_on_localhost", "Secure",
			"AlwaysSecure writes Secure cookies, and Safari drops them over plain http even on localhost.",
			"Leave AlwaysSecure out for development, or serve localhost over https.")
		d.in("Safari; Chrome, Edge and Firefox keep them")
	case d.setter.Scheme == "http":
		d.add(SeverityInfo, "localhost", "Secure",
			"On plain "+host+" the cookies are "+d.names[0].bare+" and "+d.names[1].bare+", without Secure, prefix, Domain and Partitioned, so that they also work in Safari. All ports of "+host+" share them.", "")
	}
	if d.site.Proxied && !d.c.AlwaysSecure {
		d.add(SeverityInfo, "proxy_host", "Secure",
			"The server sees plain http behind the proxy, and tells a public site from localhost by the Host header.",
			"Let the proxy pass the Host on (nginx: proxy_set_header Host $host), or set AlwaysSecure.")
	}
	if d.setter.Scheme == "https" && d.page.Scheme == "http" && !loopbackURL(d.page) {
		d.add(SeverityError, "insecure_page", "Secure", "The pages at "+d.page.Host+" are plain http: whoever is on the way can change them and act for the user.", "Serve the pages over https.")
	}
}

func (d *doctor) domain() {
	domain, host := d.c.Domain, d.setter.Hostname()
	switch {
	case domain == "" || d.plainLocal():
		return
	case !covers(domain, host):
		d.add(SeverityError, "domain_mismatch", "Domain",
			"Browsers drop a cookie for "+domain+" that "+host+" sets: Domain must be that host or a parent of it.",
			"Leave Domain empty, or set "+host+".")
		return
	case !d.site.SameSite("a."+domain, "b."+domain):
		d.add(SeverityError, "public_suffix", "Domain",
			domain+" is a public suffix: hosts below it belong to different owners, and browsers drop cookies for all of them.",
			"Leave Domain empty.")
		return
	}
	needed := d.narrowest()
	switch {
	case needed == "":
		d.add(SeverityWarning, "domain_wide", "Domain",
			"Every host below "+domain+" receives the tokens and can plant cookies of these names, and only "+host+" needs them.",
			"Leave Domain empty; the cookies then get the "+hostHTTPPrefix+" prefix, which nobody else can plant. List "+domain+" in PreviousDomains.")
	case needed != domain:
		d.add(SeverityWarning, "domain_wide", "Domain",
			"Every host below "+domain+" receives the tokens and can plant cookies of these names.",
			needed+" is wide enough; list "+domain+" in PreviousDomains.")
	default:
		d.add(SeverityInfo, "domain_shared", "Domain",
			"Every host below "+domain+" receives the tokens and can plant cookies of these names: all of them must be trusted.", "")
	}
}

// narrowest is the narrowest Domain that reaches every host which needs the cookies, ""
// when one host alone needs them.
func (d *doctor) narrowest() string {
	needed := d.setter.Hostname()
	alone := true
	for _, text := range d.site.APIs {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || !covers(d.c.Domain, strings.ToLower(u.Hostname())) {
			continue
		}
		host := strings.ToLower(u.Hostname())
		alone = alone && host == d.setter.Hostname()
		for !covers(needed, host) {
			_, needed, _ = strings.Cut(needed, ".")
		}
	}
	if alone {
		return ""
	}
	return needed
}

func (d *doctor) prefix() {
	if d.c.NoPrefix && !hostLocked(d.names[0].sent) && !d.plainLocal() {
		d.add(SeverityWarning, "no_prefix", "name",
			"Without prefix, every host of the site and every plain http page of it can plant cookies of these names.",
			"Let NoPrefix be false.")
	}
	if d.c.Path != "/" {
		d.add(SeverityWarning, "path", "Path",
			"A Path protects nothing: pages elsewhere on the host can reach pages below "+d.c.Path+". And it costs the __Host- prefix.",
			`Let Path be "/".`)
	}
	if path := cmp.Or(d.page.EscapedPath(), "/"); d.page.Host == d.setter.Host && !underPath(path, d.c.Path) {
		d.add(SeverityError, "path_mismatch", "Path", "Requests to "+path+" don't carry cookies whose Path is "+d.c.Path+".", `Let Path be "/".`)
	}
}

// underPath is the path match of RFC 6265, 5.1.4.
func underPath(path, cookie string) bool {
	return path == cookie || strings.HasPrefix(path, cookie) && (strings.HasSuffix(cookie, "/") || path[len(cookie)] == '/')
}

// sealedSize is the length of a token in a cookie.
func (d *doctor) sealedSize(n int) int {
	if d.c.Keys.Len() == 0 {
		return n
	}
	// A JWT, which is the common and the large case, is sealed without its base64.
	raw := sealOverhead + 5 + (n-2)*3/4
	return len(sealVersion) + (raw*4+2)/3
}
