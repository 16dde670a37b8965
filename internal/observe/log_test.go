package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

type named string

type stringer struct{ s string }

func (s stringer) String() string { return "stringer " + s.s }

type marshaler struct {
	s   string
	err error
}

func (m marshaler) MarshalText() ([]byte, error) { return []byte("text " + m.s), m.err }

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

type record struct {
	Token  string
	Bytes  []byte
	Inner  *record
	hidden string
	Any    any
}

type unprintable struct{}

func (unprintable) String() string { panic(jwt) }

// carriers returns every way in which c can get into a log line.
func carriers(c string) map[string]func(*slog.Logger) {
	value := func(v any) func(*slog.Logger) { return func(l *slog.Logger) { l.Info("m", "k", v) } }
	deep := record{Token: c, Bytes: []byte(c), hidden: c, Inner: &record{Token: c, Any: map[string]any{"a": []string{c}}}}
	return map[string]func(*slog.Logger){
		"message":         func(l *slog.Logger) { l.Info("message " + c) },
		"string":          value("Bearer " + c),
		"name":            func(l *slog.Logger) { l.Info("m", c, 1) },
		"missing value":   func(l *slog.Logger) { l.Info("m", []any{c}...) },
		"With":            func(l *slog.Logger) { l.With("a", c, c, "b").Info("m") },
		"group":           func(l *slog.Logger) { l.Info("m", slog.Group("g", "x", 1, slog.Group(c, "y", c, c, 1))) },
		"WithGroup":       func(l *slog.Logger) { l.WithGroup(c).With("a", c).WithGroup("x").Info("m", "k", c) },
		"error":           value(fmt.Errorf("outer: %w", errors.New(c))),
		"joined":          value(errors.Join(errors.New("a"), errors.New(c))),
		"fault":           value(fault.Wrap(fault.Internal, errors.New(c), "detail")),
		"URL error":       value(&url.Error{Op: "Get", URL: "https://x/?t=" + c, Err: io.EOF}),
		"Stringer":        value(stringer{c}),
		"Stringer's ptr":  value(&stringer{c}),
		"TextMarshaler":   value(marshaler{s: c}),
		"marshaler error": value(marshaler{err: errors.New(c)}),
		"valuer":          value(valuer{slog.StringValue(c)}),
		"valuer of group": value(valuer{slog.GroupValue(slog.Any(c, valuer{slog.AnyValue(deep)}))}),
		"bytes":           value([]byte(c)),
		"raw JSON":        value(json.RawMessage(`{"a":"` + c + `"}`)),
		"bad raw JSON":    value(json.RawMessage(`{"a":` + c)),
		"struct":          value(deep),
		"struct's ptr":    value(&deep),
		"map":             value(map[string]any{c: 1, "a": deep}),
		"slice":           value([]any{c, deep, []byte(c)}),
		"array":           value([2]string{c, c}),
		"named string":    value(named(c)),
		"string's ptr":    value(&c),
		"attrs":           value([]slog.Attr{slog.String("a", c), slog.Any("b", deep)}),
		"header":          value(http.Header{"Authorization": {"Bearer " + c}, "Cookie": {"a=b; __Host-DSR=" + c}}),
		"URL":             value(&url.URL{Path: "/x", RawQuery: "a=" + c}),
		"request":         value(&http.Request{Method: c, Header: http.Header{"A": {c}}}),
		"function":        value(func() string { return c }),
		"panic":           value(unprintable{}),
		"escaped":         value(map[string]string{"a": "\r" + c, "b": "\n" + c, "c": `"` + c + `\`}),
	}
}

// Attack 40: whatever is logged, in whatever form, no credential comes out, and the
// lines stay readable to a machine.
func TestNoCredentialIsLogged(t *testing.T) {
	t.Parallel()
	for kind, c := range credentials() {
		for name, log := range carriers(c) {
			for _, format := range []config.LogFormat{config.LogText, config.LogJSON} {
				var out bytes.Buffer
				log(Logger(&out, format, slog.LevelInfo))
				if leaks(out.String(), c) || leaks(out.String(), jwt) {
					t.Errorf("%s in %s, %s: %s", kind, name, format, out.String())
				}
				hidden := strings.Contains(out.String(), "[redacted ")
				if shown := name == "function" || name == "panic" || name == "request" || name == "bad raw JSON"; hidden == shown {
					t.Errorf("%s in %s, %s: masked %v: %s", kind, name, format, hidden, out.String())
				}
				if format == config.LogJSON && !json.Valid(out.Bytes()) {
					t.Errorf("%s in %s isn't JSON: %s", kind, name, out.String())
				}
				if strings.Count(out.String(), "\n") != 1 {
					t.Errorf("%s in %s isn't one line: %q", kind, name, out.String())
				}
			}
		}
	}
}

// What holds no credential looks as it would without us, but for structured values in
// text, which are JSON.
func TestPlainRecords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.FixedZone("", 7200))
	attrs := []any{
		"s", "two words", "i", 7, "u", uint64(8), "f", 1.5, "b", true, "d", 90 * time.Second, "t", now, "nil", nil,
		"err", io.EOF, "nilptr", (*stringer)(nil), "net", netip.MustParsePrefix("192.0.2.0/24"), "rule", session.Theft,
		"reason", session.Reused, "secret", secret.New(jwt), "list", []int{1, 2}, "map", map[string]any{"a": "<b>"},
		slog.Group("g", "x", 1, slog.Group("h", "y", "z")), "level", slog.LevelWarn, "fault", fault.New(fault.Conflict, "no"),
		"cr", map[string]string{"a": "\rt_12345678"},
	}
	for format, want := range map[config.LogFormat]string{
		config.LogText: `time=2026-05-04T01:02:01.000Z level=WARN msg="hello there" s="two words" i=7 u=8 f=1.5 b=true d=1m30s ` +
			`t=2026-05-04T03:02:01.000+02:00 nil=<nil> err=EOF nilptr=<nil> net=192.0.2.0/24 rule=theft reason=token_reuse ` +
			`secret=[redacted] list="[1,2]" map="{\"a\":\"<b>\"}" g.x=1 g.h.y=z level=WARN fault="conflict: no" cr="{\"a\":\"\\[redacted 17ec9042]\"}"`,
		config.LogJSON: `{"time":"2026-05-04T01:02:01Z","level":"WARN","msg":"hello there","s":"two words","i":7,"u":8,"f":1.5,"b":true,` +
			`"d":90000000000,"t":"2026-05-04T03:02:01+02:00","nil":null,"err":"EOF","nilptr":null,"net":"192.0.2.0/24","rule":"theft",` +
			`"reason":"token_reuse","secret":"[redacted]","list":[1,2],"map":{"a":"<b>"},"g":{"x":1,"h":{"y":"z"}},"level":"WARN",` +
			`"fault":"conflict: no","cr":"{\"a\":\"\\[redacted 17ec9042]\"}"}`,
	} {
		var out bytes.Buffer
		r := slog.NewRecord(now, slog.LevelWarn, "hello there", 0)
		r.Add(attrs...)
		if err := Logger(&out, format, slog.LevelInfo).Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(out.String()); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", format, got, want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := Logger(&out, config.LogText, slog.LevelInfo)
	ctx := wire.WithRequestID(t.Context(), "REQ7")
	l.InfoContext(ctx, "plain", "a", 1)
	l.InfoContext(ctx, "rendered", "a", io.EOF)
	l.InfoContext(wire.WithRequestID(t.Context(), opaque), "hostile")
	l.Info("none")
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{" a=1 requestId=REQ7", " a=EOF requestId=REQ7", "]", "msg=none"} {
		if !strings.HasSuffix(strings.TrimSuffix(lines[i], `"`), want) {
			t.Errorf("%q, want %q at the end", lines[i], want)
		}
	}
	if leaks(out.String(), opaque) {
		t.Error("a token got in as a request id:", out.String())
	}
}

// A record that others hold too isn't changed under them.
func TestRecordIsNotShared(t *testing.T) {
	t.Parallel()
	ctx := wire.WithRequestID(t.Context(), "REQ7")
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)
	for i := range 9 {
		r.AddAttrs(slog.Int(fmt.Sprint("a", i), i))
	}
	h := Logger(io.Discard, config.LogText, slog.LevelInfo).Handler()
	if err := h.Handle(ctx, r); err != nil {
		t.Fatal(err)
	}
	r.AddAttrs(slog.Int("last", 1))
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "requestId" || strings.HasPrefix(a.Key, "!") {
			t.Errorf("%v was added to the caller's record", a)
		}
		return true
	})
}

func TestLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var level slog.LevelVar
	l := Logger(&out, config.LogJSON, &level)
	l.Debug("unseen")
	level.Set(slog.LevelDebug)
	l.Debug("seen")
	if got := out.String(); strings.Contains(got, "unseen") || !strings.Contains(got, "seen") {
		t.Errorf("%q", got)
	}
}

// Neither a buffer nor a file is a terminal; a character device may be one.
func TestAutoFormat(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	Logger(&out, config.LogAuto, slog.LevelInfo).Info("m")
	if !json.Valid(out.Bytes()) {
		t.Errorf("%s isn't JSON", out.String())
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) {
		t.Error("a file is a terminal")
	}
	device, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if !isTerminal(device) {
		t.Error("a character device is no terminal")
	}
}

func BenchmarkLogger(b *testing.B) {
	ctx := wire.WithRequestID(context.Background(), "K7Q2N5XW3H4RYJ6TDBVMC2AZPE")
	log := func(b *testing.B, l *slog.Logger) {
		b.ReportAllocs()
		for b.Loop() {
			l.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("method", "POST"), slog.String("route", "/{project}/session/refresh"),
				slog.Int("status", 200), slog.Duration("took", 1234567), slog.String("rule", "rotate"))
		}
	}
	b.Run("plain", func(b *testing.B) { log(b, slog.New(slog.NewJSONHandler(io.Discard, nil))) })
	b.Run("guarded", func(b *testing.B) { log(b, Logger(io.Discard, config.LogJSON, slog.LevelInfo)) })
}
