// Package observe owns what operators see of a running server: its log lines and its
// metrics. It doesn't decide what is logged or counted; it makes sure that log lines
// hold no token and that the number of metrics stays bounded, whatever is asked of the
// server.
package observe

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"

	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// Logger returns a logger that writes lines to w, with times in UTC and, where the
// context has one, the request's id as "requestId". What looks like a token or an API
// key is hidden wherever it stands: in the message, in names and values, in groups, in
// errors, and in anything else that is logged. With config.LogAuto lines are text if w
// is a terminal and JSON otherwise.
func Logger(w io.Writer, format config.LogFormat, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == config.LogText || format == config.LogAuto && isTerminal(w) {
		return slog.New(guard{slog.NewTextHandler(w, options)})
	}
	return slog.New(guard{slog.NewJSONHandler(w, options)})
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// guard masks what passes through it. A record that holds only plain values without a
// credential, as nearly all do, passes as it is.
type guard struct{ next slog.Handler }

// Enabled asks the handler behind.
func (g guard) Enabled(ctx context.Context, level slog.Level) bool { return g.next.Enabled(ctx, level) }

// Handle passes a record on without its credentials.
func (g guard) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	plain := true
	r.Attrs(func(a slog.Attr) bool {
		plain = isPlain(a)
		return plain
	})
	if plain {
		r.Message = mask(r.Message)
		r = r.Clone() // others may hold the same record
	} else {
		masked := slog.NewRecord(r.Time, r.Level, mask(r.Message), r.PC)
		r.Attrs(func(a slog.Attr) bool {
			masked.AddAttrs(maskAttr(a))
			return true
		})
		r = masked
	}
	if id := wire.RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("requestId", mask(id)))
	}
	return g.next.Handle(ctx, r)
}

// WithAttrs masks once what every later record will have.
func (g guard) WithAttrs(attrs []slog.Attr) slog.Handler {
	return guard{g.next.WithAttrs(maskAttrs(attrs))}
}

// WithGroup opens a group.
func (g guard) WithGroup(name string) slog.Handler { return guard{g.next.WithGroup(mask(name))} }

// isPlain reports whether a needs no masking. A value that would have to be rendered to
// know is not plain.
func isPlain(a slog.Attr) bool {
	if start, _ := find(a.Key); start >= 0 {
		return false
	}
	switch a.Value.Kind() {
	case slog.KindString:
		start, _ := find(a.Value.String())
		return start < 0
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindDuration, slog.KindTime:
		return true
	}
	return false
}

func maskAttrs(attrs []slog.Attr) []slog.Attr {
	masked := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		masked[i] = maskAttr(a)
	}
	return masked
}

func maskAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(mask(v.String()))
	case slog.KindGroup:
		v = slog.GroupValue(maskAttrs(v.Group())...)
	case slog.KindAny:
		v = render(v.Any())
	}
	return slog.Attr{Key: mask(a.Key), Value: v}
}

// render turns a value into its masked text, the way in which it would be printed:
// errors and what knows its own text by that, bytes as text, all else as JSON. Nothing
// is left to the handler behind, whose way of printing might differ from what was
// looked at.
func render(x any) (v slog.Value) {
	defer func() {
		if recover() != nil { // as slog does: a log line must not take the server down
			v = slog.StringValue(fmt.Sprintf("!PANIC in %T", x))
		}
	}()
	if r := reflect.ValueOf(x); !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil() {
		return slog.AnyValue(nil)
	}
	switch x := x.(type) {
	case error:
		return slog.StringValue(mask(x.Error()))
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return slog.StringValue(mask("!ERROR: " + err.Error()))
		}
		return slog.StringValue(mask(string(text)))
	case fmt.Stringer:
		return slog.StringValue(mask(x.String()))
	case []byte:
		return slog.StringValue(mask(string(x)))
	}
	if r := reflect.ValueOf(x); r.Kind() == reflect.String {
		return slog.StringValue(mask(r.String()))
	}
	return renderJSON(x)
}

func renderJSON(x any) slog.Value {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(x); err != nil {
		return slog.StringValue(mask("!ERROR: " + err.Error()))
	}
	text := mask(string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))))
	// Neither a credential nor what replaces it has a character that JSON escapes. Only
	// the 'r' of an escaped carriage return may have been taken for the start of one.
	if !json.Valid([]byte(text)) {
		return slog.StringValue(text)
	}
	return slog.AnyValue(json.RawMessage(text))
}
