package wire

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestJSON(t *testing.T) {
	w := httptest.NewRecorder()
	if err := JSON(w, http.StatusCreated, map[string]string{"url": "https://a/?b=1&c=<d>"}); err != nil {
		t.Fatal(err)
	}
	h := w.Result().Header
	if w.Code != 201 || w.Body.String() != `{"url":"https://a/?b=1&c=<d>"}`+"\n" || h.Get("Content-Type") != "application/json" ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
		t.Errorf("%d %v %s", w.Code, h, w.Body)
	}
}

// Attack 33: what a handler says nothing about is not stored; what is public says so.
func TestCacheHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	if err := JSON(w, 200, 1); err != nil || w.Header().Get("Cache-Control") != "no-store" {
		t.Error(err, w.Header())
	}
	w = httptest.NewRecorder()
	Cacheable(w.Header(), 90*time.Second+time.Millisecond)
	if err := JSON(w, 200, 1); err != nil || w.Header().Get("Cache-Control") != "public, max-age=90" {
		t.Error(err, w.Header())
	}
	Cacheable(w.Header(), -time.Second)
	if w.Header().Get("Cache-Control") != "public, max-age=0" {
		t.Error(w.Header())
	}
}

// A value that can't be encoded leaves the answer untouched, so that the refusal that
// follows is whole.
func TestJSONThatCannotBeEncoded(t *testing.T) {
	h := Edge{}.Handle(func(w http.ResponseWriter, r *http.Request) error {
		return JSON(w, 200, []any{strings.Repeat("x", 10_000), math.Inf(1)})
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"type":"/docs/errors/internal"`) || strings.Contains(w.Body.String(), "xxx") {
		t.Errorf("%d %.100s", w.Code, w.Body)
	}
}

// Buffers are shared between answers one after the other, never their content.
func TestJSONBuffersAreClean(t *testing.T) {
	for _, n := range []int{10, maxPooled * 2, 3, 1000, 0} {
		w := httptest.NewRecorder()
		if err := JSON(w, 200, strings.Repeat("a", n)); err != nil || w.Body.Len() != n+3 {
			t.Errorf("%d: %d bytes, %v", n, w.Body.Len(), err)
		}
	}
}

type goneWriter struct{ http.ResponseWriter }

func (goneWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestJSONToAClientThatIsGone(t *testing.T) {
	if err := JSON(goneWriter{httptest.NewRecorder()}, 200, 1); err != nil {
		t.Error("nobody can be told, so it's no error:", err)
	}
}
