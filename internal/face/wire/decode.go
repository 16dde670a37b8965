package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

const (
	// MaxBody is the most bytes that the body of any request may have.
	MaxBody = 1 << 20

	// maxDepth bounds the nesting of objects and lists in a body.
	maxDepth = 32

	// maxProblems bounds the answer to a body that is all wrong: 1 MiB of unknown
	// members must not turn into tens of MiB of explanations.
	maxProblems = 32

	// firstRead is how much memory a body gets before any of it has arrived. A stranger
	// who announces much and sends nothing holds no more than this.
	firstRead = 4 << 10
)

// Decode reads the JSON body of r, of at most limit bytes, into the struct that into
// points to, or into a *json.RawMessage as it is (still one object, with unique names).
//
// No body equals {}, and null equals absent, for the body and for each member: clients
// exist that send explicit nulls. A body needs the Content-Type application/json or
// none at all. So a page of another origin can send one without a preflight: whoever
// accepts cookies must check the origin.
//
// Names are matched exactly. Unknown and repeated members, wrong types, values that
// break the tags required, minimum, maximum, minLength, maxLength, minItems, maxItems,
// enum or pattern, byte order marks, invalid UTF-8 and trailing data are refused, all
// that can be found in one go. The tag default fills an absent member that is zero.
//
// Errors are fault.TooLarge, or fault.Invalid with Fields; anything else is a bug in
// the type of into (see Check). On error into is untouched.
func Decode(r *http.Request, limit int64, into any) error {
	_, err := read(r, limit, into, false)
	return err
}

// read is Decode, and DecodeKnown when it looks on.
func read(r *http.Request, limit int64, into any, looksOn bool) (Unknown, error) {
	body, err := readBody(r, limit)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		if err := checkContentType(r); err != nil {
			return nil, err
		}
		if err := checkSyntax(body); err != nil {
			return nil, err
		}
	}
	ptr := reflect.ValueOf(into)
	if ptr.Kind() != reflect.Pointer || ptr.IsNil() {
		return nil, fmt.Errorf("wire: Decode needs a pointer, not %T", into)
	}
	p, err := planOf(ptr.Type().Elem(), "json")
	if err != nil {
		return nil, err
	}
	if p.stars > 0 || p.shape != shapeObject && p.shape != shapeRaw {
		return nil, fmt.Errorf("wire: Decode can't read a body into %T", into)
	}
	// Into a copy, so that a caller who overlooks the error doesn't act on half of a
	// refused request.
	fresh := reflect.New(p.typ).Elem()
	fresh.Set(ptr.Elem())
	fields := walkBody(body, p, fresh)
	if len(fields) > 0 && !(looksOn && onlyUnknown(fields)) {
		return nil, problemsError("body", fields)
	}
	ptr.Elem().Set(fresh)
	return fields, nil
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "The body may have at most %d bytes.", limit)
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	var body bytes.Buffer
	if n := r.ContentLength; n >= 0 {
		// ReadFrom wants room for the end of the body too, else it grows for nothing.
		body.Grow(int(min(n+bytes.MinRead, firstRead)))
	}
	n, err := body.ReadFrom(io.LimitReader(r.Body, limit+1))
	var over *http.MaxBytesError
	switch {
	case n > limit, errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil && r.Context().Err() != nil:
		return nil, fmt.Errorf("reading the body: %w", r.Context().Err())
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "The body ended before its announced length, or came too slowly.")
	}
	return body.Bytes(), nil
}

func checkContentType(r *http.Request) error {
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return malformed("A compressed body isn't taken.", "the body must not have a Content-Encoding")
	}
	values := r.Header["Content-Type"]
	if len(values) == 0 || len(values) == 1 && values[0] == "application/json" {
		return nil
	}
	media, _, err := mime.ParseMediaType(values[0])
	if len(values) > 1 || err != nil || media != "application/json" {
		return malformed("The body must be JSON.", "the Content-Type must be application/json")
	}
	return nil
}

func malformed(detail, field string) error {
	return fault.New(fault.Invalid, "%s", detail).WithFields(issue{"format", field}.field(""))
}

// checkSyntax proves that body is one JSON value in UTF-8, or says at which byte it
// stops being that, counted from zero.
func checkSyntax(body []byte) error {
	const notJSON = "The body isn't valid JSON."
	if bytes.HasPrefix(body, []byte("\xef\xbb\xbf")) {
		return malformed(notJSON, "byte 0: a byte order mark isn't allowed")
	}
	if !utf8.Valid(body) {
		return malformed(notJSON, fmt.Sprintf("byte %d: not valid UTF-8", invalidUTF8(body)))
	}
	if !json.Valid(body) {
		var syntax *json.SyntaxError
		if err := json.Unmarshal(body, new(json.RawMessage)); !errors.As(err, &syntax) {
			return malformed(notJSON, "not valid JSON")
		}
		at := syntax.Offset
		// The decoder counts the byte that it stumbled over as read, but not the missing
		// byte after the end.
		if !strings.Contains(syntax.Error(), "unexpected end") {
			at--
		}
		return malformed(notJSON, fmt.Sprintf("byte %d: %s", at, syntax))
	}
	if at := loneSurrogate(body); at >= 0 {
		return malformed(notJSON, fmt.Sprintf("byte %d: half of a surrogate pair", at))
	}
	return nil
}

func invalidUTF8(body []byte) int {
	for i := 0; i < len(body); {
		c, size := utf8.DecodeRune(body[i:])
		if c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(body)
}

// loneSurrogate returns where valid JSON escapes half of a surrogate pair, or -1.
// encoding/json would read each such half as the same U+FFFD, so that two different
// texts, or names, become one.
func loneSurrogate(body []byte) int {
	if !bytes.Contains(body, []byte(`\u`)) {
		return -1
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++ // valid JSON: a backslash is in a string, and something follows it
		if body[i] != 'u' {
			continue
		}
		first := hex4(body[i+1:])
		i += 4
		if !utf16.IsSurrogate(first) {
			continue
		}
		if len(body) < i+7 || body[i+1] != '\\' || body[i+2] != 'u' ||
			utf16.DecodeRune(first, hex4(body[i+3:])) == utf8.RuneError {
			return i - 5
		}
		i += 6
	}
	return -1
}

func hex4(b []byte) rune {
	n, err := strconv.ParseUint(string(b[:4]), 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
