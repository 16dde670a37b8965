package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

type report struct {
	status int
	err    error
}

func serve(h Handler) (*httptest.ResponseRecorder, []report) {
	var reports []report
	edge := Edge{
		Problems: Problems{DocsBase: "/d"},
		Report:   func(_ *http.Request, status int, err error) { reports = append(reports, report{status, err}) },
	}
	w := httptest.NewRecorder()
	edge.Handle(h).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w, reports
}

func TestHandle(t *testing.T) {
	w, reports := serve(func(w http.ResponseWriter, _ *http.Request) error { return JSON(w, 201, "x") })
	if w.Code != 201 || len(reports) != 0 {
		t.Errorf("%d %v", w.Code, reports)
	}
	refusal := fault.New(fault.Forbidden, "No.")
	w, reports = serve(func(http.ResponseWriter, *http.Request) error { return fmt.Errorf("x: %w", refusal) })
	if w.Code != 403 || !strings.Contains(w.Body.String(), `"/d/errors/forbidden"`) || len(reports) != 1 || reports[0].status != 403 || !errors.Is(reports[0].err, refusal) {
		t.Errorf("%d %v %s", w.Code, reports, w.Body)
	}
	w = httptest.NewRecorder()
	Edge{}.Handle(func(http.ResponseWriter, *http.Request) error { return refusal }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 403 {
		t.Error("without a Report:", w.Code)
	}
}

func TestHandleAfterTheAnswerBegan(t *testing.T) {
	late := errors.New("late")
	for want, begin := range map[int]func(http.ResponseWriter){
		http.StatusOK:       func(w http.ResponseWriter) { io.WriteString(w, "data") },
		http.StatusAccepted: func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted); io.WriteString(w, "data") },
	} {
		w, reports := serve(func(w http.ResponseWriter, _ *http.Request) error { begin(w); return late })
		if w.Code != want || w.Body.String() != "data" || len(reports) != 1 || reports[0] != (report{want, late}) {
			t.Errorf("%d %q %v", w.Code, w.Body, reports)
		}
	}
	w, reports := serve(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusEarlyHints)
		return late
	})
	if !strings.Contains(w.Body.String(), "internal") || reports[0].status != 500 {
		t.Errorf("early hints count as an answer: %v", reports)
	}
}

func TestHandleStreams(t *testing.T) {
	w, reports := serve(func(w http.ResponseWriter, _ *http.Request) error { return http.NewResponseController(w).Flush() })
	if !w.Flushed || len(reports) != 0 {
		t.Error("ResponseController doesn't find the writer:", reports)
	}
}

func TestHandlePanics(t *testing.T) {
	w, reports := serve(func(http.ResponseWriter, *http.Request) error { panic("canary") })
	if w.Code != 500 || len(reports) != 1 || strings.Contains(w.Body.String(), "canary") {
		t.Fatalf("%d %v", w.Code, reports)
	}
	if text := reports[0].err.Error(); strings.Contains(text, "canary") || !strings.Contains(text, "panic: string") || !strings.Contains(text, "handler_test.go") {
		t.Error(text)
	}
	_, reports = serve(func(http.ResponseWriter, *http.Request) error {
		var none []int
		i := 0
		return JSON(nil, none[i], nil)
	})
	if text := reports[0].err.Error(); !strings.HasPrefix(text, "panic: runtime error: index out of range [0]") {
		t.Error(text)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the signal to cut the connection was swallowed")
		}
	}()
	serve(func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
}

func TestIdentify(t *testing.T) {
	tests := []struct {
		name  string
		given []string
		kept  bool
	}{
		{"none", nil, false},
		{"one", []string{"a-B.9_"}, true},
		{"64 characters", []string{strings.Repeat("x", 64)}, true},
		{"65 characters", []string{strings.Repeat("x", 65)}, false},
		{"empty", []string{""}, false},
		{"space", []string{"a b"}, false},
		{"line break", []string{"a\nb"}, false},
		{"not ASCII", []string{"ä"}, false},
		{"two", []string{"a", "b"}, false},
		{"a credential", []string{"lk_mgmt_0123456789abcdef"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["X-Request-Id"] = tt.given
			var inside string
			w := httptest.NewRecorder()
			Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = RequestID(r.Context()) })).ServeHTTP(w, r)
			got := w.Header().Get("X-Request-Id")
			if got != inside || tt.kept && got != tt.given[0] || !tt.kept && len(got) < 16 {
				t.Errorf("answered %q, inside %q", got, inside)
			}
		})
	}
	if first, second := newRequestID(), newRequestID(); first == second {
		t.Error("ids repeat")
	}
	if RequestID(t.Context()) != "" {
		t.Error("an id from nowhere")
	}
}

func TestBearer(t *testing.T) {
	tests := []struct {
		name   string
		header []string
		token  string
		kind   fault.Kind
	}{
		{"none", nil, "", 0},
		{"a token", []string{"Bearer abc.DEF-_~+/9=="}, "abc.DEF-_~+/9==", 0},
		{"another case", []string{"bEARER abc"}, "abc", 0},
		{"more spaces", []string{"Bearer   abc"}, "abc", 0},
		{"another scheme", []string{"Basic abc"}, "", 0},
		{"another scheme that starts the same", []string{"Bearerx abc"}, "", 0},
		{"empty", []string{""}, "", 0},
		{"no token", []string{"Bearer"}, "", fault.Unauthenticated},
		{"no token but a space", []string{"Bearer "}, "", fault.Unauthenticated},
		{"two tokens", []string{"Bearer a b"}, "", fault.Unauthenticated},
		{"a list", []string{"Bearer a, Bearer b"}, "", fault.Unauthenticated},
		{"padding only", []string{"Bearer =="}, "", fault.Unauthenticated},
		{"padding inside", []string{"Bearer a=b"}, "", fault.Unauthenticated},
		{"a tab", []string{"Bearer \tabc"}, "", fault.Unauthenticated},
		{"quotes", []string{`Bearer "abc"`}, "", fault.Unauthenticated},
		{"not ASCII", []string{"Bearer äbc"}, "", fault.Unauthenticated},
		{"two headers", []string{"Bearer a", "Bearer a"}, "", fault.Unauthenticated},
		{"two schemes", []string{"Bearer a", "Basic b"}, "", fault.Unauthenticated},
		{"16 KiB", []string{"Bearer " + strings.Repeat("a", 16<<10-7)}, strings.Repeat("a", 16<<10-7), 0},
		{"over 16 KiB", []string{"Bearer " + strings.Repeat("a", 16<<10-6)}, "", fault.TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Authorization"] = tt.header
			token, ok, err := Bearer(r)
			if token.Reveal() != tt.token || ok != (tt.token != "") || fault.KindOf(err) != tt.kind || (err != nil) != (tt.kind != 0) {
				t.Errorf("%.40q %v %v", token.Reveal(), ok, err)
			}
		})
	}
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  a.b.c==", "Bearer", "Basic x", "Bearer a b", "Bearer\tx", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, ok, err := Bearer(&http.Request{Header: http.Header{"Authorization": {header}}})
		if ok == token.IsZero() || ok && err != nil {
			t.Fatalf("%v %v %v", token.Reveal(), ok, err)
		}
		if ok && (!strings.HasSuffix(header, " "+token.Reveal()) || strings.ContainsAny(token.Reveal(), " ,\"\r\n\x00")) {
			t.Errorf("%q from %q", token.Reveal(), header)
		}
		if err != nil && len(header) > 20 && strings.Contains(err.Error(), header[10:]) {
			t.Errorf("the error shows the header: %v", err)
		}
	})
}
