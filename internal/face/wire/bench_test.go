package wire

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

func BenchmarkDecodeRefresh(b *testing.B) {
	type refresh struct {
		RefreshToken secret.Text `json:"refreshToken"`
		Rotate       string      `json:"rotate" enum:"always,never"`
		ComposedAt   *time.Time  `json:"composedAt"`
	}
	body := `{"refreshToken":"` + strings.Repeat("eyJhbGciOi", 90) + `","composedAt":"2026-01-02T03:04:05Z"}`
	reader := strings.NewReader(body)
	r := post("")
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		reader.Reset(body)
		var into refresh
		if err := Decode(r, MaxBody, &into); err != nil {
			b.Fatal(err)
		}
	}
}

type nullWriter struct{ header http.Header }

func (w nullWriter) Header() http.Header         { return w.header }
func (w nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w nullWriter) WriteHeader(int)             {}

func BenchmarkJSONTokenSet(b *testing.B) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	set := &latchkey.TokenSet{
		SessionToken: strings.Repeat("eyJhbGciOi", 120), SessionExpiresAt: now, RefreshToken: strings.Repeat("eyJhbGciOi", 90), RefreshExpiresAt: now, ServerTime: now,
		Session: latchkey.Session{
			ID: "ses_7zzzzzzzzzzzzzzzzzzzzzzzzz", User: "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz", State: "active", CreatedAt: now, AuthTime: now, LastSeenAt: now, ExpiresAt: now,
			AMR: []string{"pwd", "otp"}, Device: latchkey.Device{Name: "Firefox on Linux", IP: "192.0.2.1", UserAgent: chromeAgent},
		},
	}
	w := nullWriter{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if err := JSON(w, http.StatusOK, set); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClient(b *testing.B) {
	trusted := proxies(b, "10.0.0.0/8", "192.0.2.0/24")
	for name, agent := range map[string]string{"chrome": chromeAgent, "iphone": iphoneAgent, "curl": "curl/8.5.0", "none": ""} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("POST", "/", nil)
			r.RemoteAddr = "10.0.0.1:4711"
			r.Header.Set("X-Forwarded-For", "203.0.113.9, 10.0.0.2")
			if agent != "" {
				r.Header.Set("User-Agent", agent)
			}
			b.ReportAllocs()
			for b.Loop() {
				trusted.Client(r)
			}
		})
	}
}

func BenchmarkBearer(b *testing.B) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("eyJhbGciOi", 90))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := Bearer(r); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
