package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// clockSkew is how far the clocks of server and verifier may be apart.
const clockSkew = time.Minute

// verify checks a session token as an application would: with the SDK, and nothing but
// the key set. The token is what j was read from.
func verify(ctx context.Context, j *jwt, token, issuer, jwksFile string, now func() time.Time) error {
	c := latchkey.VerifierConfig{
		// The project id, also where the issuer has a slash too much: that it isn't the
		// token's is the better explanation.
		Issuer: issuer, Audience: path.Base(issuer), ClockSkew: clockSkew, CacheBytes: -1, Now: now,
		Logger: slog.New(slog.DiscardHandler), // what goes wrong is the command's error
	}
	if jwksFile != "" {
		body, err := os.ReadFile(jwksFile)
		if err != nil {
			return err
		}
		if c.Keys, err = latchkey.StaticKeySet(body); err != nil {
			return fmt.Errorf("the key set can't be read: %w", err)
		}
	}
	v, err := latchkey.NewVerifier(c)
	if err != nil {
		return err
	}
	_, err = v.Verify(ctx, token)
	return explain(j, issuer, err)
}

// explain adds to a refusal what the token says: its holder may see that.
func explain(j *jwt, issuer string, err error) error {
	var refused *latchkey.TokenError
	if !errors.As(err, &refused) {
		return err
	}
	said := err.Error()
	switch refused.Reason {
	case latchkey.ReasonKeysUnavailable:
		if j.text("iss") != issuer {
			said = fmt.Sprintf("wrong issuer: %q signed it, and of %q no keys can be fetched", j.text("iss"), issuer)
		}
	case latchkey.ReasonType:
		if j.header["typ"] != "at+jwt" {
			said = fmt.Sprintf("not a session token: its typ is %q, at+jwt is wanted", j.header["typ"])
		}
	case latchkey.ReasonAlgorithm:
		said += fmt.Sprintf("; it says %q", j.header["alg"])
	case latchkey.ReasonUnknownKey:
		said = fmt.Sprintf("the key set has no key %q: it was revoked, or the token isn't of this project", j.header["kid"])
	case latchkey.ReasonIssuer:
		said = fmt.Sprintf("wrong issuer: %q signed it, %q is wanted", j.text("iss"), issuer)
	case latchkey.ReasonAudience:
		said += fmt.Sprintf(": its aud doesn't have %q", path.Base(strings.TrimSuffix(issuer, "/")))
	case latchkey.ReasonExpired:
		said = "expired at " + when(j.time("exp"))
	case latchkey.ReasonNotYetValid:
		said = fmt.Sprintf("not valid before %s; is this machine's clock right?", when(j.time("nbf")))
	}
	return fmt.Errorf("%s (%s)", said, refused.Reason)
}
