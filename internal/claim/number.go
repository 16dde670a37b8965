package claim

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Finite reports whether a JSON number fits into a float64 (IEEE 754 binary64). Of one
// that doesn't, some parsers make infinity and others refuse the whole token (RFC 8259, 6).
// What is too small to be told from 0 fits, since all of them read it as 0.
func Finite(number string) bool {
	_, err := strconv.ParseFloat(number, 64)
	return err == nil
}

// maxNumbers is how many numbers of a value are told at once: as many as a problem lists.
const maxNumbers = MaxFindings

// Numbers returns a field for each number in a JSON value that isn't Finite, in the
// value's order, maxNumbers at most; the value stands at pointer. What isn't JSON has
// none. It takes time proportional to the length of the value.
func Numbers(value json.RawMessage, pointer string) []fault.Field {
	// Without an exponent it takes 309 digits to be too large.
	if len(value) < 309 && !bytes.ContainsAny(value, "eE") || !json.Valid(value) {
		return nil
	}
	w := numberWalk{in: json.NewDecoder(bytes.NewReader(value)), path: []string{pointer}}
	w.in.UseNumber()
	w.value()
	return w.found
}

// numberWalk goes through a value that is known to be JSON.
type numberWalk struct {
	in    *json.Decoder
	path  []string // the pointer's parts, escaped
	found []fault.Field
}

func (w *numberWalk) value() {
	token, err := w.in.Token()
	if err != nil || len(w.found) == maxNumbers {
		return
	}
	switch v := token.(type) {
	case json.Delim:
		w.inside(v == '{')
	case json.Number:
		if !Finite(v.String()) {
			w.found = append(w.found, fault.Field{Pointer: strings.Join(w.path, "/"), Code: "range", Detail: NotFinite})
		}
	}
}

// NotFinite says what is wrong with a number that isn't Finite.
const NotFinite = "Most programs can't read a number of this size: it is beyond those of 64 bits with a floating point."

// inside looks at the members of an object, or the items of a list.
func (w *numberWalk) inside(object bool) {
	for i := 0; w.in.More(); i++ {
		step := strconv.Itoa(i)
		if object {
			name, err := w.in.Token()
			if err != nil {
				return
			}
			step, _ = name.(string) // the decoder gives nothing else here
		}
		w.path = append(w.path, escapeName(clipped(step)))
		w.value()
		w.path = w.path[:len(w.path)-1]
		if len(w.found) == maxNumbers {
			return
		}
	}
	_, _ = w.in.Token() // the brace or bracket
}

// clipped cuts a name that is shown to who sent it.
func clipped(name string) string {
	if utf8.RuneCountInString(name) <= MaxName {
		return name
	}
	return string([]rune(name)[:MaxName])
}
