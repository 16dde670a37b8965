package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestHide(t *testing.T) {
	const key = "lk_mgmt_canarycanarycanary"
	shared := fault.New(fault.Invalid, "The value %s is odd.", key).WithFields(
		fault.Field{Pointer: "/cookies/" + key, Code: "unknown", Detail: "There is no such member."},
		fault.Field{Pointer: "/lifetime", Code: "format", Detail: key + " is no duration."})
	for name, c := range map[string]struct {
		err  error
		want string
		kind fault.Kind
	}{
		"nothing to hide": {fault.New(fault.Conflict, "Taken."), "conflict: Taken.", fault.Conflict},
		"detail and fields": {shared,
			"invalid: [redacted]; /cookies/[redacted]: There is no such member.; /lifetime: [redacted]", fault.Invalid},
		"cause":     {fault.Wrap(fault.Unavailable, errors.New(key), "Later."), "unavailable: Later.", fault.Unavailable},
		"wrapped":   {fmt.Errorf("%s: %w", key, fault.New(fault.NotFound, "None.")), "not found: None.", fault.NotFound},
		"any error": {errors.New("eyJhbGciOiJFUzI1NiIsImtpZCI6.x.y"), "[redacted]", fault.Internal},
		"canceled":  {fmt.Errorf("%s: %w", key, context.Canceled), "context canceled", fault.Internal},
	} {
		got := hide(c.err)
		if got.Error() != c.want || fault.KindOf(got) != c.kind {
			t.Errorf("%s: %v of kind %v, want %s", name, got, fault.KindOf(got), c.want)
		}
	}
	if !strings.Contains(shared.Error(), key) {
		t.Error("an error that others may hold was changed")
	}
	var limited *fault.Error
	if err := hide(fault.New(fault.RateLimited, key).After(time.Minute)); !errors.As(err, &limited) || limited.RetryAfter != time.Minute {
		t.Errorf("the time to wait is lost: %v", err)
	}
	w, reports := serve(func(http.ResponseWriter, *http.Request) error { return WithStatus(http.StatusMethodNotAllowed, shared) })
	if w.Code != http.StatusMethodNotAllowed || strings.Contains(w.Body.String(), "canary") || strings.Contains(reports[0].err.Error(), "canary") {
		t.Errorf("%d %s, reported %v", w.Code, w.Body, reports)
	}
}
