package claim

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rule is a kind, and what it looks like. All that a pattern matches is given to means,
// which takes or refuses it; nil takes it.
type rule struct {
	kind Sensitive
	// needs are cheap signs, one of which is in every text that can match. Most claims
	// have none of them, and cost almost nothing.
	needs   []string
	pattern *regexp.Regexp
	means   func(text string, from, to int) bool
}

// textRules find what can be told from a text alone. RE2 is linear, so no text can
// make them slow.
var textRules = []rule{
	// A domain with a dot and a top-level domain of letters: "user@host" and
	// "package@1.2.3" are none. git@github.com and images of the kind logo@2x.png
	// aren't either.
	{Email, []string{"@"}, regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}.!#$%&'*+=?^_{|}~-]*@(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}`), isEmail},

	// user:password@ in an address.
	{Password, []string{"://"}, regexp.MustCompile(`://[^\s/:@]*:[^\s/@]+@`), nil},
	// A connection string or query. Only "=": "password: required" is a sentence.
	{Password, []string{"="}, regexp.MustCompile(`(?i)(?:^|[^a-z])(?:password|passwd|pwd)=[^\s;&]{4,}`), nil},
	// Modular crypt format: bcrypt, argon2, scrypt, and those of crypt(5).
	{Password, []string{"$"}, regexp.MustCompile(`\$(?:2[abxy]\$\d\d\$[./A-Za-z0-9]{20}|argon2(?:id|i|d)\$|scrypt\$|pbkdf2[a-z0-9-]*\$|[156y]\$[^$\s]+\$[^\s]{16})`), nil},

	{Key, []string{"-----BEGIN"}, regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`), nil},
	// Keys that say by a prefix what they are, with the length that their makers
	// document: our own; AWS; GitHub, GitLab, npm, PyPI; Stripe; Slack; Google; OpenAI and
	// Anthropic; SendGrid; DigitalOcean; Hugging Face; Shopify; age.
	{Key, []string{"lk_"}, keyShape(`lk_(?:mgmt|verify|ak)_[0-9a-zA-Z]{16,}`), nil},
	{Key, []string{"AKIA", "ASIA"}, keyShape(`(?:AKIA|ASIA)[0-9A-Z]{16}\b`), nil},
	{Key, []string{"gh", "github_pat_", "glpat-", "npm_", "pypi-"}, keyShape(`(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{22}|glpat-[\w-]{20}|npm_[0-9A-Za-z]{36}|pypi-AgEIcHlwaS5vcmc)`), nil},
	{Key, []string{"k_live_", "k_test_", "whsec_"}, keyShape(`(?:[sr]k_(?:live|test)_[0-9A-Za-z]{16}|whsec_[0-9A-Za-z+/]{24})`), nil},
	{Key, []string{"xox", "xapp-"}, keyShape(`(?:xox[abeoprs]-[0-9A-Za-z-]{10}|xapp-\d-[0-9A-Za-z-]{10})`), nil},
	{Key, []string{"AIza", "GOCSPX-"}, keyShape(`(?:AIza[\w-]{35}|GOCSPX-[\w-]{20})`), nil},
	// A run without hyphens: "sk-" begins slugs, too.
	{Key, []string{"sk-"}, keyShape(`sk-(?:proj-|svcacct-|ant-[a-z0-9]+-)?\w{20}`), nil},
	{Key, []string{"SG.", "dop_v1_", "hf_", "shp", "AGE-SECRET-KEY-1"}, keyShape(`(?:SG\.[\w-]{22}\.[\w-]{30}|dop_v1_[0-9a-f]{64}|hf_[0-9A-Za-z]{34}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|AGE-SECRET-KEY-1[0-9A-Z]{20})`), nil},

	// The compact form of JWS and JWE: a header that is a JSON object, then more. One that
	// was cut behind its claims is found too.
	{Bearer, []string{"eyJ"}, regexp.MustCompile(`(?:^|[^0-9A-Za-z_-])eyJ[\w-]{8,}\.[\w-]{8,}`), nil},
	{Bearer, []string{"rt_"}, keyShape(`rt_[\w-]{40}`), nil},
	{Bearer, []string{"ya29."}, keyShape(`ya29\.[\w-]{20}`), nil},
	// RFC 6750, 2.1 and RFC 7617, 2. A digit, or "Bearer responsibilities…" is one.
	{Bearer, []string{"earer ", "EARER ", "asic ", "ASIC "}, regexp.MustCompile(`(?i)(?:^|[^a-z])(?:bearer|basic) +[0-9a-z._~+/-]{12,}=*`), hasDigit},
}

// keyShape matches a key that isn't the tail of a longer word.
func keyShape(expression string) *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[^0-9A-Za-z])` + expression)
}

// inText returns the kinds of what a text looks like or holds.
func inText(s string) []Sensitive {
	var kinds []Sensitive
	for _, r := range textRules {
		if r.in(s) {
			kinds = append(kinds, r.kind)
		}
	}
	return append(kinds, inDigits(s)...)
}

func (r rule) in(s string) bool {
	for i, sign := range r.needs {
		if strings.Contains(s, sign) {
			break
		}
		if i == len(r.needs)-1 {
			return false
		}
	}
	if r.means == nil {
		return r.pattern.MatchString(s)
	}
	for _, at := range r.pattern.FindAllStringIndex(s, -1) {
		if r.means(s, at[0], at[1]) {
			return true
		}
	}
	return false
}

func isEmail(s string, from, to int) bool {
	local, domain, _ := strings.Cut(s[from:to], "@")
	image := len(domain) > 2 && domain[0] >= '1' && domain[0] <= '9' && strings.HasPrefix(domain[1:], "x.")
	// The user of an address such as ssh://deploy@host.example, or the end of a password
	// there, which is found as that.
	user := local == "git"
	if at := strings.LastIndex(s[:from], "://"); at >= 0 {
		user = user || !strings.ContainsAny(s[at+3:from], "/ ?")
	}
	return !image && !user
}

func hasDigit(s string, from, to int) bool {
	return strings.ContainsAny(s[from:to], "0123456789")
}

// hint is what the name of a claim says of its value.
type hint uint8

const (
	hintNothing hint = iota
	hintPassword
	hintPIN
	hintKey
	hintBearer
	hintID
	hintPhone
	hintCode
)

// hints maps the last word of a name to what it means: "dbPassword" is a password,
// "passwordChangedAt" is none. Endings of two words stand first.
var hints = []struct {
	ending string
	means  hint
}{
	{"password hash", hintPassword}, {"password digest", hintPassword}, {"pass phrase", hintPassword},
	{"password", hintPassword}, {"passwords", hintPassword}, {"passwd", hintPassword}, {"pwd", hintPassword},
	{"passphrase", hintPassword}, {"passcode", hintPassword}, {"pin", hintPIN},
	{"api key", hintKey}, {"apikey", hintKey}, {"api keys", hintKey}, {"secret key", hintKey}, {"private key", hintKey},
	{"access key", hintKey}, {"signing key", hintKey}, {"encryption key", hintKey}, {"master key", hintKey},
	{"secret", hintKey}, {"secrets", hintKey},
	{"token", hintBearer}, {"tokens", hintBearer}, {"jwt", hintBearer}, {"bearer", hintBearer},
	{"ssn", hintID}, {"social security", hintID}, {"social security number", hintID}, {"national id", hintID}, {"national insurance number", hintID},
	{"nino", hintID}, {"steuer id", hintID}, {"steuerid", hintID}, {"dni", hintID}, {"nie", hintID}, {"codice fiscale", hintID}, {"nir", hintID},
	{"phone", hintPhone}, {"phone number", hintPhone}, {"mobile", hintPhone}, {"mobile number", hintPhone}, {"telephone", hintPhone},
	{"tel", hintPhone}, {"msisdn", hintPhone}, {"fax", hintPhone}, {"phones", hintPhone},
	{"cvv", hintCode}, {"cvc", hintCode}, {"cvv2", hintCode}, {"cvc2", hintCode},
}

// maxHint is the length of names that can say something, in bytes.
const maxHint = 100

func hintOf(name string) hint {
	if len(name) > maxHint {
		return hintNothing
	}
	spoken := " " + words(name)
	for _, h := range hints {
		if strings.HasSuffix(spoken, " "+h.ending) {
			return h.means
		}
	}
	return hintNothing
}

// words returns the words of a name, in small letters: camelCase, snake_case and
// kebab-case are told apart.
func words(name string) string {
	var b strings.Builder
	var before rune
	for i, r := range name {
		next, _ := utf8.DecodeRuneInString(name[i+utf8.RuneLen(r):])
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		case unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsUpper(before) && unicode.IsLower(next)):
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// minSecret is how long a value is, at least, that a name makes a key or a token:
// {"secret":"santa"} is none. It also has a letter: {"tokens":200000000} is a count.
const minSecret = 8

// inText returns what a value is, given its name.
func (h hint) inText(s string) []Sensitive {
	digits, others := countDigits(s)
	oneWord := !strings.ContainsFunc(s, unicode.IsSpace)
	switch {
	case h == hintPassword && s != "",
		h == hintPIN && others == 0 && 4 <= digits && digits <= 8:
		return []Sensitive{Password}
	case h == hintKey && oneWord && others > 0 && len(s) >= minSecret:
		return []Sensitive{Key}
	case h == hintBearer && oneWord && others > 0 && len(s) >= minSecret:
		return []Sensitive{Bearer}
	// The shortest of the ids has six digits.
	case h == hintID && digits >= 6:
		return []Sensitive{NationalID}
	case h == hintPhone && 7 <= digits && digits <= 15 && others == 0:
		return []Sensitive{Phone}
	case h == hintCode && others == 0 && (digits == 3 || digits == 4):
		return []Sensitive{Card}
	}
	return nil
}

// countDigits returns how many digits are in s, and how many characters that don't
// stand between the digits of a number.
func countDigits(s string) (digits, others int) {
	for _, r := range s {
		switch {
		case '0' <= r && r <= '9':
			digits++
		case !strings.ContainsRune(" +-./()", r):
			others++
		}
	}
	return digits, others
}
