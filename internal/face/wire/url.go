package wire

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

const redacted = "[redacted]"

// credentialNames are what parameters that carry a credential are called, in lower
// case and without '_' and '-'.
var credentialNames = []string{
	"token", "accesstoken", "refreshtoken", "sessiontoken", "idtoken", "jwt", "key", "apikey", "managementkey",
}

// credentialPrefixes are how this product's credentials start. JWTs are recognised
// apart: all start with "eyJ", the base64 of `{"`.
var credentialPrefixes = []string{"rt_", "lk_mgmt_", "lk_verify_", "lk_ak_"}

// TokenInURL returns a fault.TokenInURL when a query parameter is named like a
// credential, or a query value or path segment looks like one of ours. URLs end up in
// histories, Referer headers and the logs of every proxy, so a credential in one has
// leaked already and is never honoured. The error doesn't hold it.
func TokenInURL(r *http.Request) error {
	for segment := range strings.SplitSeq(r.URL.Path, "/") {
		if isCredential(segment) {
			return fault.New(fault.TokenInURL, "The path holds a credential. Send it in the Authorization header or the body, and replace it: it may be in logs.")
		}
	}
	for name, value := range parameters(r.URL.RawQuery) {
		if slices.Contains(credentialNames, plainName(name)) || isCredential(value) || isCredential(name) {
			return fault.New(fault.TokenInURL, "The query string holds a credential. Send it in the Authorization header or the body, and replace it: it may be in logs.").
				WithFields(issue{"unknown", "a credential isn't taken from a URL"}.field("?" + logName(name)))
		}
	}
	return nil
}

// parameters yields what a server or proxy of any persuasion could take for the
// parameters of a query string: separated by '&' or ';', broken escapes included.
func parameters(query string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for part := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
			name, value, _ := strings.Cut(part, "=")
			if !yield(unescape(name), unescape(value)) {
				return
			}
		}
	}
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

func plainName(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

func isCredential(s string) bool {
	if strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") >= 2 {
		return true
	}
	return slices.ContainsFunc(credentialPrefixes, func(prefix string) bool {
		return strings.HasPrefix(s, prefix) && len(s) > len(prefix)
	})
}

// holdsCredential reports whether a credential, or a good part of one, may be anywhere
// in s. It errs on the side of hiding and is for what is logged or echoed only.
func holdsCredential(s string) bool {
	if at := strings.Index(s, "eyJ"); at >= 0 && len(s)-at >= 20 {
		return true
	}
	return slices.ContainsFunc(credentialPrefixes, func(prefix string) bool {
		return holdsPrefix(s, prefix)
	})
}

// holdsPrefix looks for prefix where a word starts ("sort_ascending" holds no "rt_")
// with enough behind it to be worth hiding.
func holdsPrefix(s, prefix string) bool {
	for from := 0; ; {
		at := strings.Index(s[from:], prefix)
		if at < 0 {
			return false
		}
		at += from
		if (at == 0 || !alphanumeric(s[at-1])) && len(s)-at >= len(prefix)+8 {
			return true
		}
		from = at + 1
	}
}

const (
	maxLoggedPath  = 512
	maxLoggedNames = 16
)

// SafeURL returns what of u may be logged: the path, with segments that look like
// credentials replaced by [redacted], and the names of the query parameters without
// their values. The result is short, printable ASCII without line breaks.
func SafeURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		// Judged as it is and decoded: both spellings may reach a log.
		if plain, err := url.PathUnescape(segment); err != nil || holdsCredential(plain) || holdsCredential(segment) {
			segments[i] = redacted
		}
	}
	var b strings.Builder
	b.WriteString(shorten(strings.Join(segments, "/"), maxLoggedPath))
	n := 0
	for name := range parameters(u.RawQuery) {
		if n == maxLoggedNames {
			b.WriteString("&…")
			break
		}
		if n == 0 {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		b.WriteString(logName(name))
		n++
	}
	return b.String()
}

// logName returns a parameter's name if it can be one: a value that stands where a
// name is expected ("?eyJ…") must not be logged as a name.
func logName(name string) string {
	odd := strings.ContainsFunc(name, func(c rune) bool {
		return c > unicode.MaxASCII || c != '_' && c != '-' && c != '.' && !alphanumeric(byte(c))
	})
	if odd || len(name) > 40 || holdsCredential(name) {
		return redacted
	}
	return name
}
