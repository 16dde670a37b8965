package latchkey

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults and bounds of VerifierConfig.
const (
	defaultClockSkew  = time.Minute
	maxClockSkew      = 5 * time.Minute
	defaultMaxSilence = 30 * time.Second
	defaultCacheBytes = 8 << 20
)

// VerifierConfig says whose tokens a Verifier accepts.
type VerifierConfig struct {
	// Issuer is {public URL}/{project id}. Required. The iss of a token must equal it byte
	// for byte.
	Issuer string

	// Audience must be among the aud of a token. Default: the last part of Issuer's path,
	// which is the project id.
	Audience string

	// ClockSkew is how far the server's clock and this machine's may be apart. Default
	// 60 s; negative: none; at most 5 min.
	ClockSkew time.Duration

	// Key (lk_verify_… or lk_mgmt_…) lets the Verifier follow the revocation feed. Without
	// it, and without Revocations, tokens are good until they expire.
	Key string

	// MaxSilence is how long the feed may be silent for a check that is strict. Default
	// 30 s.
	MaxSilence time.Duration

	// CacheBytes bounds the memory of verified tokens. Default 8 MiB; negative: none.
	CacheBytes int

	// StateFile keeps the key set and the feed over restarts, so that a process that
	// starts while the server is down still verifies, and still knows what was revoked.
	// Whoever can write it decides which keys are trusted: it is made with mode 0600, and
	// ignored where others may write it or own it. Keep it in a folder that only this
	// process's user may write to.
	StateFile string

	HTTPClient  *http.Client // default: one of its own
	Keys        *KeySet      // default: that of Issuer, at {Issuer}/.well-known/jwks.json
	Revocations *Revocations // default: made from Key. Run follows it: don't run it elsewhere as well
	Logger      *slog.Logger // default: slog.Default(). Neither tokens nor claims are logged.
	Now         func() time.Time
}

const keySetPath = "/.well-known/jwks.json"

// Format writes the configuration without its key, for every verb.
func (c VerifierConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "latchkey.VerifierConfig{Issuer:%q, Audience:%q}", redactUserinfo(c.Issuer), c.Audience)
}

// LogValue returns the configuration without its key.
func (c VerifierConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

func (c VerifierConfig) withDefaults() VerifierConfig {
	if c.Audience == "" {
		c.Audience = c.Issuer[strings.LastIndexByte(c.Issuer, '/')+1:]
	}
	if c.ClockSkew == 0 {
		c.ClockSkew = defaultClockSkew
	}
	c.ClockSkew = max(c.ClockSkew, 0)
	if c.MaxSilence == 0 {
		c.MaxSilence = defaultMaxSilence
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	if c.Logger == nil {
		// Not silence: a wrong key would mean that no revocation is ever heard of.
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// check returns the problems of a config whose defaults are filled in.
func (c *VerifierConfig) check() []error {
	var problems []error
	problems = appendError(problems, checkAddress("Issuer", c.Issuer))
	if c.Audience == "" {
		problems = append(problems, fmt.Errorf("%s: it is missing, and Issuer doesn't end with a project's id (prj_…, nothing behind it)", "Audience"))
	}
	if c.ClockSkew > maxClockSkew {
		problems = append(problems, fmt.Errorf("ClockSkew: at most %v is possible", maxClockSkew))
	}
	if c.MaxSilence < 0 {
		problems = append(problems, fmt.Errorf("%s: it is negative", "MaxSilence"))
	}
	if c.Key != "" && c.Revocations != nil {
		problems = append(problems, fmt.Errorf("%s: one of them is enough", "Key and Revocations"))
	}
	if c.Keys != nil && c.Keys.url != "" && hostOf(c.Keys.url) != hostOf(c.Issuer) {
		problems = append(problems, fmt.Errorf("%s: the key set isn't on the issuer's host", "Keys"))
	}
	return problems
}

func appendError(list []error, err error) []error {
	if err == nil {
		return list
	}
	return append(list, err)
}

// hostOf returns scheme, host and port of an address.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
