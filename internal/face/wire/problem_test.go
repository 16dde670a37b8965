package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// codesOfRoot is every code of the public package. The compiler can't list constants;
// the test below counts them in the source.
func codesOfRoot(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("../../../problem.go")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for line := range strings.Lines(string(source)) {
		if _, text, found := strings.Cut(line, " Code = \""); found {
			codes = append(codes, strings.TrimRight(text, "\"\n"))
		}
	}
	return codes
}

func TestTableIsTotal(t *testing.T) {
	kinds := fault.Kinds()
	infos := Codes()
	if len(infos) != len(kinds) {
		t.Fatalf("%d rows for %d kinds", len(infos), len(kinds))
	}
	seen := map[string]bool{}
	for i, kind := range kinds {
		info := Info(kind)
		if info.Kind != kind || info != infos[i] {
			t.Errorf("row %d is about %s, not %s", i, info.Kind, kind)
		}
		if info.Title == "" || http.StatusText(info.Status) == "" || info.Status < 400 || seen[string(info.Code)] {
			t.Errorf("%s: %+v", kind, info)
		}
		if info.RetryAfter != (info.Status == 429 || info.Status == 503) || info.Terminal && info.Status != 401 {
			t.Errorf("%s: %+v", kind, info)
		}
		seen[string(info.Code)] = true
	}
	for _, code := range codesOfRoot(t) {
		if !seen[code] {
			t.Errorf("the public code %s is never answered", code)
		}
		delete(seen, code)
	}
	if len(seen) != 0 {
		t.Errorf("codes that the public package doesn't know: %v", seen)
	}
	if Info(fault.Kind(200)).Code != latchkey.CodeInternal {
		t.Error("an unknown kind isn't opaque")
	}
	infos[0].Status = 200
	if Info(fault.Internal).Status != 500 {
		t.Error("a caller of Codes can change the table")
	}
}

func TestTable(t *testing.T) {
	want := map[latchkey.Code]string{
		"internal": "500", "invalid_request": "400", "out_of_range": "422", "contradiction": "422", "reserved_claim": "422",
		"claims_too_large": "422", "token_in_url": "400", "too_large": "413", "unauthenticated": "401", "session_revoked": "401 terminal",
		"session_expired": "401 terminal", "token_reuse": "401 terminal", "reauthentication_required": "401 terminal", "forbidden": "403",
		"not_found": "404", "request_expired": "409", "conflict": "409", "rate_limited": "429", "unavailable": "503",
		"template_invalid": "422", "sign_in_denied": "403", "insufficient_authentication": "403",
	}
	for _, info := range Codes() {
		got := fmt.Sprint(info.Status)
		if info.Terminal {
			got += " terminal"
		}
		if got != want[info.Code] {
			t.Errorf("%s is %s, want %s", info.Code, got, want[info.Code])
		}
	}
}

// Every code has a page, which is where the type of a problem points to, and the index
// names it.
func TestEveryCodeHasAPage(t *testing.T) {
	index, err := os.ReadFile("../../../docs/errors/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range Codes() {
		name := string(info.Code) + ".md"
		page, err := os.ReadFile("../../../docs/errors/" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		text := string(page)
		for _, want := range []string{
			"# " + string(info.Code), fmt.Sprintf("Status %d", info.Status), fmt.Sprintf(`"title": %q`, info.Title),
			fmt.Sprintf(`"type": "/docs/errors/%s"`, info.Code), fmt.Sprintf(`"terminal": %t`, info.Terminal), "## What a client should do", "## What an operator should check",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing", name, want)
			}
		}
		if !strings.Contains(string(index), "("+name+")") {
			t.Errorf("the index doesn't link %s", name)
		}
		_, example, found := strings.Cut(text, "```json\n")
		example, _, _ = strings.Cut(example, "```")
		var problem latchkey.Problem
		if err := json.Unmarshal([]byte(example), &problem); !found || err != nil || problem.Code != info.Code || problem.Status != info.Status {
			t.Errorf("%s: the example isn't a problem of this code: %v", name, err)
		}
	}
}

func answerTo(t *testing.T, p Problems, err error) (latchkey.Problem, *httptest.ResponseRecorder) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", nil)
	r = r.WithContext(WithRequestID(r.Context(), "req-1"))
	status := p.WriteError(w, r, err)
	var problem latchkey.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
		t.Fatal(err)
	}
	h := w.Result().Header
	if w.Code != status || problem.Status != status || h.Get("Content-Type") != "application/problem+json" ||
		h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v %+v", w.Code, h, problem)
	}
	return problem, w
}

func TestWriteError(t *testing.T) {
	err := fmt.Errorf("refreshing: %w", fault.Wrap(fault.Invalid, errors.New("canary"), "Bad <b>body</b>.").
		WithFields(fault.Field{Pointer: "/a", Code: "type", Detail: "a string is wanted"}))
	got, w := answerTo(t, Problems{}, err)
	want := latchkey.Problem{
		Type: "/docs/errors/invalid_request", Title: "The request is malformed", Status: 400, Detail: "Bad <b>body</b>.",
		Code: latchkey.CodeInvalidRequest, RequestID: "req-1", Errors: []latchkey.FieldError{{Pointer: "/a", Code: "type", Detail: "A string is wanted."}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if body := w.Body.String(); strings.Contains(body, "canary") || strings.Contains(body, `\u003c`) {
		t.Error(body)
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a string is wanted": "A string is wanted.", "Done.": "Done.", "sessionTokenTTL is over": "sessionTokenTTL is over.",
		`"x" is no duration`: `"x" is no duration.`, "no, that's wrong": "No, that's wrong.", "ärger": "ärger.", "/a is wrong": "/a is wrong.",
	} {
		if got := Sentence(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestWriteErrorForEachKind(t *testing.T) {
	for _, kind := range fault.Kinds() {
		got, w := answerTo(t, Problems{DocsBase: "https://id.example.com/docs/"}, fault.New(kind, "Why."))
		info := Info(kind)
		if got.Type != "https://id.example.com/docs/errors/"+string(info.Code) || got.Code != info.Code || got.Terminal != info.Terminal {
			t.Errorf("%s: %+v", kind, got)
		}
		if kind != fault.Internal && got.Detail != "Why." {
			t.Errorf("%s: %q", kind, got.Detail)
		}
		challenge := w.Result().Header.Get("WWW-Authenticate")
		if strings.HasPrefix(challenge, "Bearer ") != (info.Status == 401) || strings.Contains(challenge, "invalid_token") != info.Terminal {
			t.Errorf("%s: WWW-Authenticate: %q", kind, challenge)
		}
		if (w.Result().Header.Get("Retry-After") == "1") != info.RetryAfter {
			t.Errorf("%s: Retry-After: %q", kind, w.Result().Header.Get("Retry-After"))
		}
	}
}

func TestInternalErrorsAreOpaque(t *testing.T) {
	for _, err := range []error{
		errors.New("canary"), fault.New(fault.Internal, "canary").WithFields(fault.Field{Detail: "canary"}), fmt.Errorf("canary: %w", os.ErrNotExist), nil,
	} {
		got, w := answerTo(t, Problems{}, err)
		if got.Code != latchkey.CodeInternal || got.Errors != nil || !strings.Contains(got.Detail, "req-1") || strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%v: %s", err, w.Body)
		}
	}
}

func TestEndedContextIsUnavailable(t *testing.T) {
	for _, err := range []error{
		context.Canceled, fmt.Errorf("store: %w", context.DeadlineExceeded), fault.Wrap(fault.Internal, context.Canceled, "x"),
	} {
		if got, w := answerTo(t, Problems{}, err); got.Code != latchkey.CodeUnavailable || w.Result().Header.Get("Retry-After") != "1" {
			t.Errorf("%v: %+v", err, got)
		}
	}
	if got, _ := answerTo(t, Problems{}, fault.Wrap(fault.Conflict, context.Canceled, "x")); got.Code != latchkey.CodeConflict {
		t.Error("a refusal with a cause lost its kind")
	}
}

func TestRetryAfterRoundsUp(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "1", 0: "1", 1: "1", time.Second: "1", time.Second + 1: "2", 15 * time.Minute: "900", 1<<63 - 1: "9223372037",
	} {
		if _, w := answerTo(t, Problems{}, fault.New(fault.RateLimited, "x").After(d)); w.Result().Header.Get("Retry-After") != want {
			t.Errorf("%s: %s, want %s", d, w.Result().Header.Get("Retry-After"), want)
		}
	}
}

func TestWriteErrorWithoutRequestID(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"x"`)
	w.Header().Set("Cache-Control", "public, max-age=60")
	if status := WriteError(w, httptest.NewRequest("GET", "/", nil), fault.New(fault.NotFound, "")); status != 404 {
		t.Error(status)
	}
	var problem latchkey.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || len(problem.RequestID) < 16 || w.Header().Get("X-Request-Id") != problem.RequestID {
		t.Errorf("%s %v", w.Body, w.Header())
	}
	if w.Header().Get("ETag") != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("what belonged to another answer is left: %v", w.Header())
	}
}

// Attack 37: one caller's details never show in another's answer, even when both are
// refused with one shared error value.
func TestProblemsAreIsolated(t *testing.T) {
	shared := fault.New(fault.OutOfRange, "Shared.").WithFields(fault.Field{Pointer: "/a", Code: "range", Detail: "shared"})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				err, own := error(shared), fmt.Sprintf("Only %d and %d.", i, j)
				if j%2 == 0 {
					err = fault.New(fault.Invalid, "%s", own).WithFields(fault.Field{Pointer: "/b", Code: "type", Detail: own})
				}
				got, _ := answerTo(t, Problems{}, err)
				if want := map[bool]string{true: own, false: "Shared."}[j%2 == 0]; len(got.Errors) != 1 || got.Errors[0].Detail != want {
					t.Errorf("%+v, want %s", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestWithStatus(t *testing.T) {
	refusal := fault.New(fault.Invalid, "This address answers to GET.")
	got, w := answerTo(t, Problems{}, fmt.Errorf("x: %w", WithStatus(http.StatusMethodNotAllowed, refusal)))
	if w.Code != 405 || got.Code != latchkey.CodeInvalidRequest || got.Detail != refusal.Detail {
		t.Errorf("%d %+v", w.Code, got)
	}
	if got, w := answerTo(t, Problems{}, WithStatus(418, errors.New("canary"))); w.Code != 418 || strings.Contains(w.Body.String(), "canary") || got.Code != latchkey.CodeInternal || got.Detail == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
