package wire

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const wantTime = "a time such as 2026-01-31T09:30:00Z (RFC 3339) is wanted"

// target returns the value without pointers that v stands for, making what the
// pointers point to.
func (p *plan) target(v reflect.Value) reflect.Value {
	for range p.stars {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return v
}

// wrongType says what is wanted instead.
func (p *plan) wrongType() issue {
	return issue{"type", p.shape.String() + " is wanted"}
}

// setText reads the text form of any scalar: a query parameter, a default, or a JSON
// string or number.
func (p *plan) setText(v reflect.Value, r *rules, text string) issue {
	v = p.target(v)
	switch p.shape {
	case shapeText:
		return p.setString(v, r, text)
	case shapeBool:
		if text != "true" && text != "false" {
			return p.wrongType()
		}
		v.SetBool(text == "true")
		return issue{}
	}
	return p.setNumber(v, r, text)
}

func (p *plan) setString(v reflect.Value, r *rules, text string) issue {
	if bad := r.checkText(text); bad.code != "" {
		return bad
	}
	switch p.typ {
	case textType:
		v.Set(reflect.ValueOf(secret.New(text)))
		return issue{}
	case timeType:
		var at time.Time
		if at.UnmarshalText([]byte(text)) != nil {
			return issue{"format", wantTime}
		}
		v.Set(reflect.ValueOf(at))
		return issue{}
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return issue{"format", publicDetail(err, text)}
		}
		return issue{}
	}
	v.SetString(text)
	return issue{}
}

// setNumber takes only what JSON calls a number, so that a query parameter can't be
// written as "+5", "0x5", "Inf" or "1_000".
func (p *plan) setNumber(v reflect.Value, r *rules, text string) issue {
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || !json.Valid([]byte(text)) {
		return p.wrongType()
	}
	var f float64
	var err error
	switch p.shape {
	case shapeInt:
		var n int64
		if n, err = strconv.ParseInt(text, 10, p.typ.Bits()); err == nil {
			v.SetInt(n)
		}
		f = float64(n)
	case shapeUint:
		var n uint64
		if n, err = strconv.ParseUint(text, 10, p.typ.Bits()); err == nil {
			v.SetUint(n)
		}
		f = float64(n)
	default:
		if f, err = strconv.ParseFloat(text, p.typ.Bits()); err == nil {
			v.SetFloat(f)
		}
	}
	if errors.Is(err, strconv.ErrRange) {
		if r.min != nil || r.max != nil {
			return issue{"range", "must be " + r.interval()}
		}
		return issue{"range", "the number is too large"}
	}
	if err != nil {
		return p.wrongType()
	}
	return r.checkNumber(f)
}

// publicDetail returns the text of an error about a value, for the caller. Such errors
// may quote the value, which must not happen when a credential was put in the wrong
// place: details are logged.
func publicDetail(err error, value string) string {
	if holdsCredential(value) {
		return "the value isn't well formed; it looks like a credential, which doesn't belong here"
	}
	detail := err.Error()
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		detail = refusal.Detail
	}
	return shorten(detail, 200)
}

// shorten cuts s to at most n bytes without splitting a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// publicName returns a name that a stranger chose, for an error or a log.
func publicName(name string) string {
	if holdsCredential(name) {
		return redacted
	}
	if short := shorten(name, 64); short != name {
		return short + "…"
	}
	return name
}

// problemsError is the refusal that lists everything wrong with a part of a request.
func problemsError(part string, fields []fault.Field) error {
	detail := fmt.Sprintf("The %s has %d problems.", part, len(fields))
	switch {
	case len(fields) == 1:
		detail = fmt.Sprintf("The %s has a problem.", part)
	case len(fields) >= maxProblems:
		detail = fmt.Sprintf("The %s has many problems; the first %d are listed.", part, maxProblems)
	}
	return fault.New(fault.Invalid, "%s", detail).WithFields(fields...)
}
