package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// differ returns where two values differ, "" if nowhere. Stores may return an empty
// list for none and the other way round, and times in any zone; everything else has to
// be equal.
func differ(want, got any) string {
	return difference(reflect.ValueOf(want), reflect.ValueOf(got), "")
}

func difference(want, got reflect.Value, at string) string {
	if !want.IsValid() || !got.IsValid() || want.Type() != got.Type() {
		return unless(want.IsValid() == got.IsValid() && !want.IsValid(), want, got, at)
	}
	if t, ok := want.Interface().(time.Time); ok {
		return unless(t.Equal(got.Interface().(time.Time)), want, got, at)
	}
	switch want.Kind() {
	case reflect.Struct:
		if _, text := want.Interface().(fmt.Stringer); text { // netip's, whose fields are hidden
			return unless(want.Interface() == got.Interface(), want, got, at)
		}
		for i := range want.NumField() {
			if d := difference(want.Field(i), got.Field(i), at+"."+want.Type().Field(i).Name); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice:
		if want.Len() != got.Len() {
			return unless(false, want, got, at)
		}
		for i := range want.Len() {
			if d := difference(want.Index(i), got.Index(i), fmt.Sprintf("%s[%d]", at, i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Pointer:
		if want.IsNil() != got.IsNil() {
			return unless(false, want, got, at)
		}
		if !want.IsNil() {
			return difference(want.Elem(), got.Elem(), at)
		}
		return ""
	case reflect.Map:
		if want.Len() == 0 && got.Len() == 0 {
			return ""
		}
	}
	return unless(reflect.DeepEqual(want.Interface(), got.Interface()), want, got, at)
}

func unless(equal bool, want, got reflect.Value, at string) string {
	if equal {
		return ""
	}
	return fmt.Sprintf("%s: want %.300s, got %.300s", at, text(want), text(got))
}

func text(v reflect.Value) string {
	if !v.IsValid() {
		return "nothing"
	}
	return fmt.Sprintf("%+v", v.Interface())
}

// same fails unless the values are equal.
func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := differ(want, got); d != "" {
		t.Fatalf("%s differs at %s", what, d)
	}
}

// ok fails on an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// refused fails unless err is a refusal of the kind.
func refused(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("error %v, want one of the kind %q", err, kind)
	}
}

// unnumbered returns events without what a store makes up, in an order of their own:
// identifiers of one millisecond sort by chance.
func unnumbered(events []audit.Event) []audit.Event {
	out := slices.Clone(events)
	for i := range out {
		out[i].ID = [16]byte{}
	}
	slices.SortFunc(out, func(a, b audit.Event) int {
		return strings.Compare(fmt.Sprintf("%s %+v", a.Type, a), fmt.Sprintf("%s %+v", b.Type, b))
	})
	return out
}

// isErrVersion fails unless err is session.ErrVersion.
func isErrVersion(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, session.ErrVersion) {
		t.Fatalf("error %v, want session.ErrVersion", err)
	}
}
