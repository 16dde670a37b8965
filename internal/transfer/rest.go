package transfer

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// rest looks at the values of a line that refusal says can't be read whole: whoever gave
// one member the wrong type shouldn't learn of a mistake in another one with the next try.
// Members that can't be read are taken out, and whatever else may be said of them, or of
// their absence, isn't.
func rest[T any](r *reading, n int, text []byte, refusal error, do func(n int, record T) error) error {
	if r.apply {
		return nil
	}
	left := readable(text, refusal)
	if left == nil {
		return nil
	}
	names := map[string]bool{}
	for name := range left {
		names[name] = true
	}
	var kind Kind
	_ = json.Unmarshal(left["kind"], &kind) // a kind that can't be read has no stand-in
	if name, made := standIn(kind, left, r.d.Now()); name != "" {
		left[name], _ = json.Marshal(made) // texts can be marshalled
	}
	whole, err := json.Marshal(left)
	if err != nil {
		return err
	}
	var record T
	if wire.DecodeRaw(whole, "", &record) != nil {
		return nil // what the line is about is missing, which has been told
	}
	if len(r.crowd) == 0 { // users wait for others; everything else is done with
		clear(r.report.partial)
	}
	r.report.partial[n] = names
	return do(n, record)
}

// readable returns the members of a line without those that refusal is about; nil when it
// is about the line as a whole.
func readable(text []byte, refusal error) map[string]json.RawMessage {
	var bad *fault.Error
	var left map[string]json.RawMessage
	if !errors.As(refusal, &bad) || len(bad.Fields) == 0 || json.Unmarshal(text, &left) != nil {
		return nil
	}
	for _, f := range bad.Fields {
		if f.Pointer == "" {
			return nil
		}
		delete(left, member(f.Pointer))
	}
	return left
}

// standIn returns an id for what a line is about when it has none that can be read, and
// the name of its member; "" when it needs none. Nothing has this id, so the rest of the
// line is looked at as one that adds something.
func standIn(k Kind, left map[string]json.RawMessage, now time.Time) (name, made string) {
	if _, given := left["id"]; given {
		return "", ""
	}
	switch k {
	case Role:
		return "id", id.NewRole(now).String()
	case Tenant:
		return "id", id.NewTenant(now).String()
	case AccessKey:
		return "id", id.NewAccessKey(now).String()
	case Webhook:
		return "id", id.NewWebhook(now).String()
	case User:
		if _, given := left["loginIds"]; !given {
			return "id", id.NewUser(now).String()
		}
	}
	return "", ""
}

// member is the name of the member of a line to which, or into which, a pointer leads.
func member(pointer string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
}
