package latchkey

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// returnParam carries the way back through the sign-in.
const returnParam = "return_to"

// maxReturn bounds the way back. Longer addresses make servers and proxies on the way
// refuse the request.
const maxReturn = 2048

// ReturnTo returns where to send the browser after a sign-in: the page that it was on
// when a Middleware sent it to SignInURL, or "/". It is always a path on this site, with
// its query: whatever else somebody put into return_to is dropped, so that a link to the
// sign-in page can't lead to a page of theirs.
//
// It reads return_to from the URL or, when it isn't there, from the form of the request,
// so the sign-in form may post to its own address or carry return_to in a hidden field.
func ReturnTo(r *http.Request) string {
	given := r.URL.Query().Get(returnParam)
	if given == "" && r.ParseForm() == nil {
		given = r.PostForm.Get(returnParam)
	}
	if local, ok := localPath(given); ok {
		return local
	}
	return "/"
}

// localPath returns the path and query of a reference that can't leave this origin,
// however leniently a browser, proxy or router reads it.
func localPath(ref string) (string, bool) {
	if len(ref) > maxReturn || !strings.HasPrefix(ref, "/") || strings.HasPrefix(ref, "//") || !plainText(ref) {
		return "", false
	}
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	// Some decode the path before they look for the host; some tidy it first.
	decoded := u.Path
	if !plainText(decoded) || strings.Contains(decoded, "//") || hasDotSegment(decoded) {
		return "", false
	}
	// One more round for those who decode twice.
	if twice, err := url.PathUnescape(decoded); err == nil && (!plainText(twice) || strings.HasPrefix(twice, "//")) {
		return "", false
	}
	local := u.EscapedPath()
	if u.RawQuery != "" {
		local += "?" + escapeNonASCII(u.RawQuery)
	}
	if len(local) > maxReturn {
		return "", false
	}
	return local, true
}

// plainText reports whether s is valid UTF-8 without what browsers drop or turn into a
// slash: backslashes, control characters, white space, the byte order mark, and the
// full-width and look-alike slashes and dots that normalise to the real ones.
func plainText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		switch {
		case c <= ' ', c == '\\', c >= 0x7f && c <= 0xa0:
			return false
		case c >= 0x2000 && c <= 0x206f, c == 0x3000, c == 0xfeff:
			return false // spaces, direction marks, joiners, the fraction slash
		case c >= 0xff00 && c <= 0xffef, c == 0x3002, c == 0x2215, c == 0x29f8, c == 0x2f5c, c >= 0xfe50 && c <= 0xfe6f:
			return false
		}
	}
	return true
}

func hasDotSegment(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func escapeNonASCII(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < 0x80 {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

// parseSignIn checks where navigations without a session are sent.
func parseSignIn(address string) (*url.URL, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("SignInURL isn't a URL")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("SignInURL has a user or a fragment")
	case u.Scheme == "" && u.Host == "":
		if _, ok := localPath(address); !ok {
			return nil, errors.New("SignInURL is neither a plain path (/sign-in) nor an absolute URL")
		}
	case u.Host == "", u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())):
		return nil, errors.New("SignInURL isn't an https URL")
	}
	return u, nil
}

// signInFor returns where to send the browser instead of refusing, "" when the request
// isn't for a page of its own or when that would go round in circles.
func (m *Middleware) signInFor(r *http.Request, f Refusal) string {
	if m.signIn == nil || !f.curable || !isNavigation(r) || m.isSignIn(r) {
		return ""
	}
	to := *m.signIn
	if back, ok := localPath(requestTarget(r)); ok {
		q := returnParam + "=" + url.QueryEscape(back)
		if to.RawQuery != "" {
			q = to.RawQuery + "&" + q
		}
		to.RawQuery = q
	}
	return to.String()
}

// requestTarget returns path and query as the client asked for them, before a router
// took a prefix away.
func requestTarget(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// isNavigation reports whether the request is for the page that the browser's window is
// to show. Scripts, images and frames would get a sign-in page for an answer.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || isUpgrade(r.Header) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		dest := r.Header.Get("Sec-Fetch-Dest")
		return mode == "navigate" && (dest == "" || dest == "document")
	}
	return r.Header.Get("X-Requested-With") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// isSignIn reports whether the request is for the sign-in page itself: it must not be
// sent to where it is.
func (m *Middleware) isSignIn(r *http.Request) bool {
	if m.signIn.Host != "" && !strings.EqualFold(m.signIn.Host, r.Host) {
		return false
	}
	page := path.Clean("/" + m.signIn.Path)
	asked, _, _ := strings.Cut(requestTarget(r), "?")
	if plain, err := url.PathUnescape(asked); err == nil {
		asked = plain
	}
	return path.Clean("/"+asked) == page || path.Clean("/"+r.URL.Path) == page
}
