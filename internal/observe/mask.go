package observe

import (
	"strings"

	"github.com/latchkey-dev/latchkey/internal/secret"
)

// begins reports whether s starts as a credential does: any JWT (all start with `{"`), an
// opaque refresh token, an API key; or one of these in base64, as bytes look in JSON.
func begins(s string) bool {
	switch s[0] {
	case 'e':
		return strings.HasPrefix(s, "eyJ")
	case 'r':
		return strings.HasPrefix(s, "rt_")
	case 'l':
		return strings.HasPrefix(s, "lk_")
	case 'Z', 'c', 'b':
		return inBase64(s)
	}
	return false
}

func inBase64(s string) bool {
	return strings.HasPrefix(s, "ZXlK") || strings.HasPrefix(s, "cnRf") || strings.HasPrefix(s, "bGtf")
}

// enough returns how long something that begins like a credential must be to be hidden.
// A truncated one is hidden too. Behind an escape ("\nrt_…", "%22rt_…") a credential
// doesn't start a word; ordinary words ("sort_ascending") are shorter than one, so
// there length tells them apart.
func enough(s string, startsWord bool) int {
	switch {
	case s[0] == 'e':
		return 20
	case inBase64(s), !startsWord:
		return 27
	case s[0] == 'l':
		return 15
	}
	return 11
}

// mask returns s with everything in it that looks like a credential replaced by
// "[redacted 1a2b3c4d]", with the digits of secret.Text.Short. Without any it returns s
// and allocates nothing.
//
// It is the last line of defence: nobody may rely on it, because a credential that was
// cut, split or encoded again passes.
func mask(s string) string {
	start, end := find(s)
	if start < 0 {
		return s
	}
	var b strings.Builder
	for start >= 0 {
		b.WriteString(s[:start])
		b.WriteString("[redacted " + secret.New(s[start:end]).Short() + "]")
		s = s[end:]
		start, end = find(s)
	}
	b.WriteString(s)
	return b.String()
}

// find returns where the first credential in s is, or -1.
func find(s string) (start, end int) {
	for i := range len(s) {
		if !begins(s[i:]) {
			continue
		}
		startsWord := i == 0 || !alphanumeric(s[i-1])
		if n := span(s[i:]); n >= enough(s[i:], startsWord) {
			return i, i + n
		}
	}
	return -1, -1
}

// span returns how much of s, which begins like a credential, can belong to one. Dots
// at the end are those of a sentence.
func span(s string) int {
	made := "-_."
	if inBase64(s) {
		made = "-_.+/="
	}
	n := 0
	for n < len(s) && (alphanumeric(s[n]) || strings.IndexByte(made, s[n]) >= 0) {
		n++
	}
	return len(strings.TrimRight(s[:n], "."))
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
