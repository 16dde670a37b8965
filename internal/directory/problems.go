package directory

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// problems collects what is wrong with a request, so that all of it is told at once.
type problems []fault.Field

func (p *problems) add(pointer, code, detail string, args ...any) {
	*p = append(*p, fault.Field{Pointer: pointer, Code: code, Detail: fmt.Sprintf(detail, args...)})
}

// refusal is the refusal of a request with these problems; nil when there are none.
func (p problems) refusal(detail string) error {
	if len(p) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "%s", detail).WithFields(p...)
}

// step is the part of a JSON pointer that leads to the member of a name.
func step(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(shortened(name))
}

// shortened cuts a name that is shown to who sent it.
func shortened(name string) string {
	if utf8.RuneCountInString(name) <= maxWord {
		return strings.ToValidUTF8(name, "�")
	}
	return strings.ToValidUTF8(string([]rune(name)[:maxWord]), "�")
}

// Limits of what is named.
const (
	maxWord        = 60 // characters of the name of a role or permission
	maxDescription = 500
)

const wordRule = "A name is 1 to 60 ASCII letters, digits, spaces and . _ : / - of which the first and last are letters or digits."

// word reports whether s can be the name of a role or permission. Tokens carry such names
// and programs compare them, so nothing is allowed in them that two people could see
// differently.
func word(s string) bool {
	if s == "" || len(s) > maxWord || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !alphanumeric(c) && !strings.ContainsRune(" ._:/-", rune(c)) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// credentialStarts begin what is refused in a URL, where names stand as well.
var credentialStarts = []string{"rt_", "lk_", "eyJ"}

// checkWord tells what is wrong with the name of a role or permission. One that looks like
// the id of a role could stand for somebody else's.
func checkWord(bad *problems, pointer, name string) {
	_, isID := id.ParseRole(name)
	switch {
	case !word(name):
		bad.add(pointer, "format", wordRule)
	case isID == nil:
		bad.add(pointer, "format", "A name can't be like the id of a role.")
	case slices.ContainsFunc(credentialStarts, func(start string) bool { return strings.HasPrefix(name, start) }):
		bad.add(pointer, "format", "A name can't start with rt_, lk_ or eyJ, as credentials do.")
	}
}

func checkDescription(bad *problems, text string) {
	if !plain(text, maxDescription) {
		bad.add("/description", "format", "At most %d characters without control characters.", maxDescription)
	}
}
