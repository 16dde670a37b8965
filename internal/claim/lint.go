package claim

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Sensitive is a kind of what doesn't belong into a token: tokens are signed, not
// encrypted, and whoever holds one reads its claims, as does every log that it gets
// into.
type Sensitive string

// The kinds.
const (
	Email      Sensitive = "email"
	Phone      Sensitive = "phone"
	Card       Sensitive = "card"        // a payment card's number, or its security code
	NationalID Sensitive = "national_id" // one that a state gives to a person
	Password   Sensitive = "password"
	Key        Sensitive = "key"   // an API key, or a private key
	Bearer     Sensitive = "token" // a credential that is good for whoever bears it
)

// detail says what was found. It never repeats it: it goes into answers and logs.
func (s Sensitive) detail() string {
	switch s {
	case Email:
		return "This looks like an e-mail address."
	case Phone:
		return "This looks like a phone number."
	case Card:
		return "This looks like the number or code of a payment card."
	case NationalID:
		return "This looks like a national id."
	case Password:
		return "This looks like a password, or the hash of one."
	case Key:
		return "This looks like an API key or a private key."
	}
	return "This looks like a bearer token."
}

// MaxFindings is how many findings Lint returns at most: as many as a problem lists.
const MaxFindings = 32

// Finding is one place in a set of claims that holds what it had better not.
type Finding struct {
	// Pointer is a JSON pointer to the value. Where the name of a member is what was
	// found, it is that of the object around it: a pointer must not repeat the name.
	Pointer string
	Kind    Sensitive
	Detail  string // a sentence for people, without the value
}

// Lint returns what in an object of claims looks like personal data or a secret: each
// kind at most once for each place, in the object's order, MaxFindings at most. Names
// are looked at as well as strings and numbers, at every depth; null, true and false
// tell nothing. It only knows what things look like, so it errs in both directions; the
// rules are chosen to be right when they speak. What isn't JSON has no findings.
//
// It takes time proportional to the length of the claims.
func Lint(claims json.RawMessage, pointer string) []Finding {
	if len(claims) == 0 || !json.Valid(claims) {
		return nil
	}
	l := linter{in: json.NewDecoder(bytes.NewReader(claims)), path: []string{pointer}}
	l.in.UseNumber()
	l.value(hintNothing)
	return l.found
}

// linter walks through a value that is known to be JSON.
type linter struct {
	in    *json.Decoder
	path  []string // the pointer's parts, escaped
	found []Finding
}

// report notes a kind at the value at hand.
func (l *linter) report(kind Sensitive) {
	pointer := strings.Join(l.path, "/")
	known := func(f Finding) bool { return f.Pointer == pointer && f.Kind == kind }
	if len(l.found) < MaxFindings && !slices.ContainsFunc(l.found, known) {
		l.found = append(l.found, Finding{pointer, kind, kind.detail()})
	}
}

// value looks at the next value, of which the name says h.
func (l *linter) value(h hint) {
	token, err := l.in.Token()
	if err != nil || len(l.found) >= MaxFindings {
		return
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			l.object()
		} else {
			l.list(h)
		}
	case string:
		for _, kind := range append(inText(v), h.inText(v)...) {
			l.report(kind)
		}
	case json.Number:
		if h == hintKey || h == hintBearer {
			h = hintNothing // a count, however it is written
		}
		for _, kind := range append(inNumber(v.String()), h.inText(v.String())...) {
			l.report(kind)
		}
	}
}

func (l *linter) object() {
	for l.in.More() {
		token, err := l.in.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return
		}
		// With a sensitive name, everything below is told of the object around it.
		kinds := inText(name)
		for _, kind := range kinds {
			l.report(kind)
		}
		if len(kinds) == 0 {
			l.path = append(l.path, escapeName(name))
		}
		l.value(hintOf(name))
		if len(kinds) == 0 {
			l.path = l.path[:len(l.path)-1]
		}
		if len(l.found) >= MaxFindings {
			return
		}
	}
	_, _ = l.in.Token() // the brace
}

// list looks at the items of a list, of which the list's name speaks too.
func (l *linter) list(h hint) {
	for i := 0; l.in.More(); i++ {
		l.path = append(l.path, strconv.Itoa(i))
		l.value(h)
		l.path = l.path[:len(l.path)-1]
		if len(l.found) >= MaxFindings {
			return
		}
	}
	_, _ = l.in.Token() // the bracket
}

// escapeName makes a name part of a JSON pointer (RFC 6901, 3).
func escapeName(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// LintPolicy is what a project does about findings: the setting claimLint.
type LintPolicy string

// The policies.
const (
	LintOff    LintPolicy = "off"
	LintWarn   LintPolicy = "warn"
	LintReject LintPolicy = "reject"
)

// Apply looks at the claims and the nsec that a caller sets, each nil for none. Under
// LintWarn it returns what it finds, under LintReject a fault.Invalid with a field for
// each. What a session has already is no business of a caller who sets something
// else: it isn't to be passed.
func (p LintPolicy) Apply(claims, nsec json.RawMessage) ([]Finding, error) {
	if p != LintWarn && p != LintReject {
		return nil, nil
	}
	found := append(Lint(claims, "/claims"), Lint(nsec, "/nsec")...)
	found = found[:min(len(found), MaxFindings)]
	if p == LintWarn || len(found) == 0 {
		return found, nil
	}
	err := fault.New(fault.Invalid, "Some custom claims hold personal data or secrets, which this project keeps out of tokens.")
	for _, f := range found {
		err.Fields = append(err.Fields, fault.Field{Pointer: f.Pointer, Code: codeSensitive, Detail: f.Detail + " Whoever holds a token can read it."})
	}
	return nil, err
}

// codeSensitive is the code of fields that LintReject refuses.
const codeSensitive = "sensitive"

// Rejected reports whether err is a refusal under LintReject and of nothing else: the
// request is well made.
func Rejected(err error) bool {
	var refusal *fault.Error
	return errors.As(err, &refusal) && refusal.Kind == fault.Invalid && len(refusal.Fields) > 0 &&
		!slices.ContainsFunc(refusal.Fields, func(f fault.Field) bool { return f.Code != codeSensitive })
}

// News reports whether there is something in found that isn't in before.
func News(found, before []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return !slices.Contains(before, f) })
}

// Flagged returns findings as an audit event has them: place and kind, nothing else.
func Flagged(found []Finding) []any {
	out := make([]any, len(found))
	for i, f := range found {
		out[i] = map[string]any{"pointer": f.Pointer, "kind": string(f.Kind)}
	}
	return out
}
