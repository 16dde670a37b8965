package template

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// maxNesting is how deep the value of an expression may be.
const maxNesting = 20

// unwrap returns what is in an optional.
func unwrap(v ref.Val) ref.Val {
	for {
		o, ok := v.(*types.Optional)
		if !ok || !o.HasValue() {
			return v
		}
		v = o.GetValue()
	}
}

// emptyValue returns how an empty value is written, "" for one that isn't empty. What
// isn't there (nil, or an empty optional) is written as the empty text.
func emptyValue(v ref.Val) string {
	switch v := unwrap(v).(type) {
	case nil, *types.Optional:
		return `""`
	case types.Null:
		return "null"
	case types.String:
		if v == "" {
			return `""`
		}
	case traits.Mapper:
		if v.Size() == types.IntZero {
			return "{}"
		}
	case traits.Lister:
		if v.Size() == types.IntZero {
			return "[]"
		}
	}
	return ""
}

// encode writes a value as JSON that is the same for equal values: members sorted, no
// space. It returns why it can't.
func encode(w *writer, v ref.Val, depth int) (why string) {
	if depth > maxNesting {
		return "The value is nested too deeply."
	}
	if w.full() {
		return w.why
	}
	switch v := unwrap(v).(type) {
	case types.Null:
		w.WriteString("null")
	case types.Bool:
		w.WriteString(strconv.FormatBool(bool(v)))
	case types.Int:
		w.Write(strconv.AppendInt(w.AvailableBuffer(), int64(v), 10))
	case types.Uint:
		w.Write(strconv.AppendUint(w.AvailableBuffer(), uint64(v), 10))
	case types.Double:
		s, ok := formatFloat(float64(v))
		if !ok {
			return errNumber
		}
		w.WriteString(s)
	case types.String:
		writeString(w.Buffer, string(v))
	case types.Bytes:
		writeString(w.Buffer, base64.StdEncoding.EncodeToString(v))
	case types.Timestamp, types.Duration:
		s, _ := asText(v)
		writeString(w.Buffer, s)
	case traits.Mapper:
		return encodeMap(w, v, depth)
	case traits.Lister:
		return encodeList(w, v, depth)
	case *types.Optional:
		w.WriteString("null")
	default:
		return errType
	}
	return ""
}

// formatFloat writes a number as ECMAScript does, which is how encoding/json writes it.
func formatFloat(f float64) (string, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", false
	}
	b, err := json.Marshal(f)
	return string(b), err == nil
}

func encodeList(w *writer, l traits.Lister, depth int) string {
	w.WriteByte('[')
	first := true
	for it := l.Iterator(); it.HasNext() == types.True; first = false {
		if !first {
			w.WriteByte(',')
		}
		if why := encode(w, it.Next(), depth+1); why != "" {
			return why
		}
	}
	w.WriteByte(']')
	return ""
}

func encodeMap(w *writer, m traits.Mapper, depth int) string {
	var names []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		name, ok := it.Next().(types.String)
		if !ok {
			return "A member's name isn't a text."
		}
		// Each member takes four bytes at least, so more of them don't fit.
		if names = append(names, string(name)); len(names) > 4*maxText {
			return errLong
		}
	}
	slices.SortFunc(names, compareNames)
	w.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			w.WriteByte(',')
		}
		writeString(w.Buffer, name)
		w.WriteByte(':')
		v, _ := m.Find(types.String(name))
		if v == nil {
			return errType
		}
		if why := encode(w, v, depth+1); why != "" {
			return why
		}
	}
	w.WriteByte('}')
	return ""
}

// writeString writes a JSON string. <, > and & stay as they are: a token isn't a page, and
// each escape would take six characters of the 500.
func writeString(out *bytes.Buffer, s string) {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	// A string can't fail to be encoded.
	_ = e.Encode(s)
	out.Truncate(out.Len() - 1) // the line's end
}
