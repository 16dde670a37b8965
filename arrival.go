package latchkey

import (
	"html"
	"io"
	"net/http"
)

// arrivalAt returns the address of the request if the browser may be signed in without
// saying so: it follows a link of another site, and leaves SameSite=Strict cookies at
// home. It can't go round in circles: what the page of arrival asks for comes from this
// site.
func (m *Middleware) arrivalAt(r *http.Request, f Refusal) string {
	if m.noArrival || m.signIn == nil || !f.absent || r.Method != http.MethodGet ||
		r.Header.Get("Sec-Fetch-Site") != "cross-site" || !isNavigation(r) || m.isSignIn(r) {
		return ""
	}
	here, _ := localPath(requestTarget(r))
	return here
}

// arrive answers with a page that goes on to an address of this site. A redirect wouldn't
// do: to the browser the whole chain would still be the other site's.
func arrive(w http.ResponseWriter, here string) {
	h := w.Header()
	forbidCaching(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	// An error would be that of a connection, and nobody is left to hear of it. The
	// address starts with one slash and holds no white space (localPath), so it can't end
	// the attribute's URL or be another scheme's.
	here = html.EscapeString(here)
	_, _ = io.WriteString(w, `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="0;url=`+here+`">
<title>…</title>
<a href="`+here+`">Continue</a>
</html>
`)
}
