package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/policy"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

const (
	doctorPatience = 10 * time.Second // for one answer
	streamPatience = 5 * time.Second  // for the first event of a stream
	noticeableSkew = 5 * time.Second  // the Date header has whole seconds
	expiringSoon   = 14 * 24 * time.Hour

	wrongKey = "It must be one of this project, with the scope verify; it may be bound to networks."
)

// examination is one run of latchkey doctor.
type examination struct {
	flags       doctorFlags
	base        string // the server's public URL
	key         secret.Text
	cookieKeys  latchkey.CookieKeys
	http        *http.Client
	jwksURI     string
	announced   []string // algorithms, by the discovery document
	found       []diagnosis
	config      latchkey.CookieConfig // from the settings
	refreshLife time.Duration
	delivers    bool // the server sets the cookies

	customDomain string
}

// newExamination checks what the command was called with.
func newExamination(f doctorFlags, getenv func(string) string) (*examination, error) {
	if f.issuer == "" {
		return nil, errors.New("--issuer is wanted: the server's public URL, a slash and the project's id")
	}
	if f.setBy != "" && f.setBy != "app" && f.setBy != "issuer" {
		return nil, fmt.Errorf("--cookies-by is app or issuer, not %q", f.setBy)
	}
	e := &examination{flags: f, key: secret.New(strings.TrimSpace(getenv(f.keyEnv)))}
	// The client knows what an issuer and a key look like.
	if _, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: f.issuer, Key: e.key.Reveal()}); err != nil {
		return nil, err
	}
	e.base = f.issuer[:strings.LastIndexByte(f.issuer, '/')]
	if text := getenv(cookieKeysVariable); text != "" {
		keys, err := latchkey.ParseCookieKeys(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cookieKeysVariable, err)
		}
		e.cookieKeys = keys
		e.say(fine, "cookies", "cookie_keys", count(keys.Len(), "key")+" to encrypt cookies", "")
	}
	// A redirect is a finding: applications don't follow it.
	e.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return e, nil
}

func (e *examination) say(severity latchkey.Severity, area, code, detail, fix string) {
	e.found = append(e.found, diagnosis{area, latchkey.Finding{Severity: severity, Code: code, Detail: detail, Fix: fix}})
}

func (e *examination) fail(area, code, detail, fix string) {
	e.say(latchkey.SeverityError, area, code, detail, fix)
}

func (e *examination) warn(area, code, detail, fix string) {
	e.say(latchkey.SeverityWarning, area, code, detail, fix)
}

// maxJWKS bounds what is read of an answer; key sets are at most so long.
const maxJWKS = 1 << 20

// get fetches at most maxJWKS bytes.
func (e *examination) get(ctx context.Context, address string, withKey bool) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if withKey {
		r.Header.Set("Authorization", "Bearer "+e.key.Reveal())
	}
	answer, err := e.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxJWKS+1))
	if err == nil && len(body) > maxJWKS {
		err = fmt.Errorf("%s answers more than %d bytes", address, maxJWKS)
	}
	return answer, body, err
}

// reach asks for the discovery document. Without it nothing else can be asked.
func (e *examination) reach(ctx context.Context) bool {
	issuer := e.flags.issuer
	sent := time.Now()
	answer, body, err := e.get(ctx, issuer+"/.well-known/openid-configuration", false)
	received := time.Now()
	if err != nil {
		area, code, fix := "issuer", "unreachable", "Is the server running, and is this its public URL?"
		if certificate := new(tls.CertificateVerificationError); errors.As(err, &certificate) || errors.As(err, new(x509.HostnameError)) {
			area, code, fix = "tls", "certificate", "Install a certificate for this host, with the whole chain."
		}
		e.fail(area, code, err.Error(), fix)
		return false
	}
	if to := answer.Header.Get("Location"); answer.StatusCode/100 == 3 {
		e.fail("issuer", "redirect", "The issuer answers "+answer.Status+" to "+to+"; verifiers don't follow that.", "Use the issuer's URL as the server has it.")
		return false
	}
	var document struct {
		Issuer     string   `json:"issuer"`
		JWKSURI    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(body, &document) != nil {
		e.fail("issuer", "discovery", "No discovery document there: the answer is "+answer.Status+".", "The issuer is the server's public URL, a slash and the project's id; latchkey project list shows ids.")
		return false
	}
	if document.Issuer != issuer {
		e.fail("issuer", "issuer_mismatch", "The server calls itself "+document.Issuer+", and tokens carry that; verifiers compare byte for byte.", "Give applications that issuer, or set --public-url of the server.")
	} else {
		e.say(fine, "issuer", "issuer", issuer+" answers, and is what tokens carry", "")
	}
	e.jwksURI, e.announced = document.JWKSURI, document.Algorithms
	e.transport(answer)
	e.clock(answer, sent, received)
	return true
}

func (e *examination) transport(answer *http.Response) {
	if answer.TLS == nil {
		if host := answer.Request.URL.Hostname(); host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1" {
			e.say(latchkey.SeverityInfo, "tls", "plain_localhost", "plain http, on this very machine", "")
			return
		}
		e.fail("tls", "plain_http", "The issuer is reached over plain http: whoever is on the way reads tokens and can replace the keys.", "Serve it over https.")
		return
	}
	left := time.Until(answer.TLS.PeerCertificates[0].NotAfter)
	text := fmt.Sprintf("%s, certificate for %d more days", tls.VersionName(answer.TLS.Version), int(left.Hours()/24))
	if left < expiringSoon {
		e.warn("tls", "certificate_ends", text, "Renew the certificate.")
		return
	}
	e.say(fine, "tls", "tls", text, "")
}

// clock compares the server's clock with this machine's.
func (e *examination) clock(answer *http.Response, sent, received time.Time) {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		e.warn("clock", "no_date", "The server doesn't say what time it has.", "Let proxies pass the Date header on.")
		return
	}
	if age, err := strconv.Atoi(answer.Header.Get("Age")); err == nil && age > 0 {
		date = date.Add(time.Duration(age) * time.Second) // from a cache
	}
	// Date is cut to the second: on average it is half a second behind.
	off := date.Add(500 * time.Millisecond).Sub(sent.Add(received.Sub(sent) / 2))
	text := fmt.Sprintf("the server's clock is %v ahead of this machine's", off.Round(time.Second))
	if off < 0 {
		text = fmt.Sprintf("the server's clock is %v behind this machine's", -off.Round(time.Second))
	}
	const fix = "Let both follow NTP."
	switch off = off.Abs(); {
	case off > clockSkew:
		e.fail("clock", "clock", text+", more than verifiers allow ("+clockSkew.String()+" by default)", fix)
	case off > noticeableSkew:
		e.warn("clock", "clock", text, fix)
	default:
		e.say(fine, "clock", "clock", "the clocks agree", "")
	}
}

// outcome is what went wrong with a request, or the status of its answer.
func outcome(answer *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return "the answer is " + answer.Status
}

func (e *examination) readiness(ctx context.Context) {
	answer, _, err := e.get(ctx, e.base+"/readyz", false)
	switch {
	case err == nil && answer.StatusCode == http.StatusOK:
		e.say(fine, "ready", "ready", "the server and its store are ready", "")
	case err == nil && answer.StatusCode == http.StatusNotFound:
		e.say(latchkey.SeverityInfo, "ready", "ready_hidden", "/readyz isn't reachable from here, which is fine for the public side", "")
	default:
		e.fail("ready", "not_ready", "The server isn't ready: "+outcome(answer, err), "Look at the server's log: its store may be out of reach, or its schema older than the program.")
	}
}

// revocations asks the feed, once for a list and once for a stream.
func (e *examination) revocations(ctx context.Context) {
	if e.key.Reveal() == "" {
		e.say(latchkey.SeverityInfo, "feed", "no_key", "Not looked at: "+e.flags.keyEnv+" holds no key.", "")
		return
	}
	address := e.flags.issuer + "/revocations"
	answer, body, err := e.get(ctx, address, true)
	var list latchkey.RevocationList
	switch {
	case err != nil:
		e.fail("feed", "feed", "The revocation feed can't be had: "+err.Error(), "")
		return
	case answer.StatusCode == http.StatusNotFound:
		e.warn("feed", "no_feed", "This server has no revocation feed: tokens live until they expire.", "Update the server.")
		return
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		e.fail("feed", "key_refused", "The key in "+e.flags.keyEnv+" is refused: "+answer.Status, wrongKey)
		return
	case answer.StatusCode != http.StatusOK || json.Unmarshal(body, &list) != nil || list.Cursor == "":
		e.fail("feed", "feed", "The revocation feed can't be read: the answer is "+answer.Status, "")
		return
	}
	if err := e.stream(ctx, address); err != nil {
		e.warn("feed", "no_stream", "The revocation feed answers ("+strconv.Itoa(len(list.Entries))+" entries matter"+"), but not as a stream: "+err.Error()+". Verifiers fall back to asking again and again.", "Let proxies pass text/event-stream on without buffering (nginx: proxy_buffering off).")
		return
	}
	e.say(fine, "feed", "feed", "the revocation feed streams", "")
}

// stream waits for the first line of an event.
func (e *examination) stream(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, streamPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+e.key.Reveal())
	r.Header.Set("Accept", "text/event-stream")
	answer, err := e.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("it answers %s with %s", answer.Status, kind)
	}
	lines := bufio.NewScanner(io.LimitReader(answer.Body, maxJWKS))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event:") {
			return nil
		}
	}
	return fmt.Errorf("no event came within %v", streamPatience)
}

// settings reads the project's settings, which a management key may.
func (e *examination) settings(ctx context.Context) {
	if kind, err := secret.ParseKey(e.key); err != nil || kind != secret.Management {
		return
	}
	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: e.flags.issuer, Key: e.key.Reveal(), HTTPClient: e.http})
	if err != nil {
		e.fail("settings", "settings", err.Error(), "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	answer, err := client.Settings(ctx)
	if latchkey.CodeOf(err) == latchkey.CodeUnauthenticated {
		e.fail("settings", "key_refused", "The key in "+e.flags.keyEnv+" is refused: "+err.Error(), wrongKey)
		return
	}
	if err != nil {
		e.warn("settings", "settings", "The settings can't be read: "+err.Error(), "The key needs the scope settings.")
		return
	}
	s := answer.Settings
	e.say(fine, "settings", "settings", fmt.Sprintf("read (version %d); session tokens live %v, sessions %v", answer.Version, s.SessionTokenTTL, s.AbsoluteTimeout), "")
	for _, w := range answer.Warnings {
		e.warn("settings", "setting", w.Pointer+": "+w.Detail, "")
	}
	e.config = policy.CookieConfig(s.Cookies)
	e.refreshLife, e.customDomain = time.Duration(s.AbsoluteTimeout), s.CustomDomain
	e.delivers = s.Delivery.Session == "cookie" || s.Delivery.Refresh == "cookie"
}
