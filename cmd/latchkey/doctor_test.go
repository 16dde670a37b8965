package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

const (
	doctorProject = "/prj_01m8006htv77a9397wsam2wbrt"
	doctorEC      = `{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"k1","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}`
)

// patient is a server that is well, and what a test makes it ill with.
type patient struct {
	discovery func(w http.ResponseWriter, issuer string)
	jwks      func(w http.ResponseWriter)
	ready     int
	feed      func(w http.ResponseWriter, r *http.Request)
}

func (p patient) start(t *testing.T) (issuer string) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	issuer = server.URL + doctorProject
	mux.HandleFunc(doctorProject+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if p.discovery != nil {
			p.discovery(w, issuer)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, issuer+"/.well-known/jwks.json")
	})
	mux.HandleFunc(doctorProject+"/.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		if p.jwks != nil {
			p.jwks(w)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		fmt.Fprintf(w, `{"keys":[%s]}`, doctorEC)
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if p.ready != 0 {
			w.WriteHeader(p.ready)
		}
	})
	mux.HandleFunc(doctorProject+"/revocations", func(w http.ResponseWriter, r *http.Request) {
		if p.feed != nil {
			p.feed(w, r)
			return
		}
		if r.Header.Get("Accept") == "text/event-stream" {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "retry: 1000\n\nevent: live\nid: 1.x\ndata: {}\n\n")
			return
		}
		fmt.Fprint(w, `{"snapshot":true,"entries":[],"cursor":"1.x"}`)
	})
	return issuer
}

const doctorKey = "lk_verify_psvkh2hdxxj7j17hz2j6n6pxt47za9vey9ev170ndsqgt"

func TestDoctorFindsWhatIsIll(t *testing.T) {
	keys := func(text string, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "max-age=300")
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			fmt.Fprintf(w, `{"keys":[%s]}`, text)
		}
	}
	discovery := func(format string, header ...string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, issuer string) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			fmt.Fprint(w, strings.ReplaceAll(format, "ISSUER", issuer))
		}
	}
	const document = `{"issuer":"ISSUER","jwks_uri":"ISSUER/.well-known/jwks.json"}`
	date := func(off time.Duration) string { return time.Now().Add(off).UTC().Format(http.TimeFormat) }
	for _, c := range []struct {
		name string
		patient
		want string // severity:area:code of warnings and errors
	}{
		{"well", patient{}, ""},
		{"another issuer", patient{discovery: discovery(`{"issuer":"https://x.example/prj","jwks_uri":"ISSUER/.well-known/jwks.json"}`)}, "error:issuer:issuer_mismatch"},
		{"no JSON", patient{discovery: discovery("<html>")}, "error:issuer:discovery"},
		{"redirect", patient{discovery: func(w http.ResponseWriter, _ string) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(http.StatusFound)
		}}, "error:issuer:redirect"},
		{"too much", patient{discovery: func(w http.ResponseWriter, _ string) { fmt.Fprint(w, strings.Repeat(" ", maxJWKS+1)) }}, "error:issuer:unreachable"},
		{"clock ahead", patient{discovery: discovery(document, "Date", date(10*time.Minute))}, "error:clock:clock"},
		{"clock behind", patient{discovery: discovery(document, "Date", date(-10*time.Minute))}, "error:clock:clock"},
		{"clock a little off", patient{discovery: discovery(document, "Date", date(20*time.Second))}, "warning:clock:clock"},
		{"an old answer of a cache", patient{discovery: discovery(document, "Date", date(-10*time.Minute), "Age", "600")}, ""},
		{"no clock", patient{discovery: discovery(document, "Date", "soon")}, "warning:clock:no_date"},
		{"keys elsewhere", patient{discovery: discovery(`{"issuer":"ISSUER","jwks_uri":"https://x.example/jwks.json"}`)}, "error:keys:jwks_elsewhere"},
		{"announced and not there", patient{discovery: discovery(`{"issuer":"ISSUER","jwks_uri":"ISSUER/.well-known/jwks.json","id_token_signing_alg_values_supported":["ES256","EdDSA"]}`)}, "warning:keys:announced"},
		{"no keys", patient{jwks: keys("")}, "error:keys:no_keys"},
		{"no JSON for keys", patient{jwks: func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }}, "error:keys:jwks"},
		{"no answer for keys", patient{jwks: func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }}, "error:keys:jwks"},
		{"private key", patient{jwks: keys(strings.Replace(doctorEC, `"kty"`, `"d":"AQ","kty"`, 1) + "," + strings.Replace(doctorEC, "k1", "k2", 1))}, "error:keys:private_key"},
		{"one name for two", patient{jwks: keys(doctorEC + "," + doctorEC)}, "error:keys:kid"},
		{"unknown kind", patient{jwks: keys(doctorEC + `,{"kty":"oct","alg":"HS256","kid":"x","k":"AQ"}`)}, "warning:keys:unusable_key"},
		{"off the curve", patient{jwks: keys(doctorEC + "," + strings.Replace(strings.Replace(doctorEC, `"y":"T`, `"y":"U`, 1), "k1", "k2", 1))}, "warning:keys:unusable_key"},
		{"short Ed25519", patient{jwks: keys(doctorEC + `,{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"x","x":"AQ"}`)}, "warning:keys:unusable_key"},
		{"weak RSA", patient{jwks: keys(doctorEC + `,{"kty":"RSA","alg":"RS256","kid":"x","n":"AQAB","e":"AQAB"}`)}, "warning:keys:unusable_key"},
		{"for encryption", patient{jwks: keys(doctorEC + "," + strings.Replace(strings.Replace(doctorEC, "sig", "enc", 1), "k1", "k2", 1))}, "warning:keys:unusable_key"},
		{"without name", patient{jwks: keys(doctorEC + "," + strings.Replace(doctorEC, "k1", "", 1))}, "warning:keys:unusable_key"},
		{"cached too long", patient{jwks: keys(doctorEC, "Cache-Control", "max-age=172800")}, "warning:keys:long_cache"},
		{"cached who knows how long", patient{jwks: keys(doctorEC, "Cache-Control", "public")}, "warning:keys:no_cache"},
		{"not ready", patient{ready: http.StatusServiceUnavailable}, "error:ready:not_ready"},
		{"ready is hidden", patient{ready: http.StatusNotFound}, ""},
		{"no feed", patient{feed: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }}, "warning:feed:no_feed"},
		{"key refused", patient{feed: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }}, "error:feed:key_refused"},
		{"feed broken", patient{feed: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }}, "error:feed:feed"},
		{"no stream", patient{feed: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"snapshot":true,"entries":[],"cursor":"1.x"}`)
		}}, "warning:feed:no_stream"},
		{"a stream without events", patient{feed: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept") == "text/event-stream" {
				w.Header().Set("Content-Type", "text/event-stream")
				return
			}
			fmt.Fprint(w, `{"snapshot":true,"entries":[],"cursor":"1.x"}`)
		}}, "warning:feed:no_stream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := c.start(t)
			t.Setenv(keyVariable, doctorKey)
			status, out, errOut := command(t, "", "doctor", "--issuer", issuer, "--json")
			var report struct {
				Errors, Warnings int
				Findings         []diagnosis
			}
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatalf("%v in %s%s", err, out, errOut)
			}
			var got []string
			for _, d := range report.Findings {
				if d.Severity == latchkey.SeverityWarning || d.Severity == latchkey.SeverityError {
					got = append(got, string(d.Severity)+":"+d.Area+":"+d.Code)
				}
			}
			if strings.Join(got, " ") != c.want || len(got) != report.Errors+report.Warnings {
				t.Errorf("%q, want %q\n%s", got, c.want, out)
			}
			if wantStatus := min(1, report.Errors); status != wantStatus || errOut != "" {
				t.Errorf("exit status %d, want %d; %s", status, wantStatus, errOut)
			}
			if strings.Contains(out, doctorKey) {
				t.Error("the key is shown")
			}
		})
	}
}

// The key goes to the issuer and nowhere else, even when the server points elsewhere.
func TestDoctorKeepsItsKey(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s got a request with %d headers", r.URL, len(r.Header))
	}))
	t.Cleanup(thief.Close)
	issuer := patient{
		discovery: func(w http.ResponseWriter, issuer string) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, thief.URL+"/jwks.json")
		},
		feed: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		},
	}.start(t)
	t.Setenv(keyVariable, doctorKey)
	if status, out, _ := command(t, "", "doctor", "--issuer", issuer); status != 1 || strings.Contains(out, doctorKey) {
		t.Errorf("%d %s", status, out)
	}
}

// What a server says can't steer the terminal.
func TestDoctorPrintsHarmlessly(t *testing.T) {
	issuer := patient{discovery: func(w http.ResponseWriter, _ string) {
		fmt.Fprint(w, `{"issuer":"\u001b[31mred\u0007\nok       issuer fine","jwks_uri":"\u001b]0;x"}`)
	}}.start(t)
	_, out, _ := command(t, "", "doctor", "--issuer", issuer)
	if strings.ContainsAny(out, "\x1b\x07") || strings.Contains(out, "\nok       issuer fine") {
		t.Errorf("%q", out)
	}
}

// A certificate that nobody vouches for is told from a server that is down.
func TestDoctorCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	e, err := newExamination(doctorFlags{issuer: server.URL + doctorProject, changed: func(string) bool { return false }}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if e.reach(context.Background()) || len(e.found) != 1 || e.found[0].Area != "tls" || e.found[0].Code != "certificate" {
		t.Errorf("%+v", e.found)
	}
}

func TestDoctorSameSite(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a.example.com", "b.example.com", true}, {"a.co.uk", "b.co.uk", false}, {"x.a.co.uk", "y.a.co.uk", true},
		{"a.github.io", "b.github.io", false}, {"co.uk", "co.uk", true}, {"localhost", "localhost", true}, {"a.example.com", "com", false},
	} {
		if got := sameSite(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
