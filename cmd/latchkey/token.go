package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/claim"
)

func tokenCommand(t *terminal) *cobra.Command {
	return group("token", "Look at tokens and check them", tokenDecodeCommand(t), tokenVerifyCommand(t))
}

func tokenDecodeCommand(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "decode TOKEN|-", Short: "Print what a token says, without checking it",
		Long: "Prints header and claims of a JWT. Nothing is checked: latchkey token verify does that.\nWith - the token is read from standard input, which keeps it out of the shell's history.",
		Args: one("a token, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := t.tokenText(args[0])
			if err != nil {
				return err
			}
			jwt, err := parseJWT(text)
			if err != nil {
				return err
			}
			return t.show(map[string]any{"header": jwt.header, "claims": jwt.claims}, func() { t.printJWT(jwt) })
		},
	}
}

func tokenVerifyCommand(t *terminal) *cobra.Command {
	var issuer, jwks string
	c := &cobra.Command{
		Use: "verify TOKEN|-", Short: "Check a session token like an application would",
		Long: "Checks signature, type, issuer, audience and times of a session token against the project's key set.\nRevocation isn't checked: GET {issuer}/session tells whether the session still lives.",
		Args: one("a token, or - for standard input"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := t.tokenText(args[0])
			if err != nil {
				return err
			}
			jwt, err := parseJWT(text)
			if err != nil {
				return err
			}
			if issuer == "" {
				return usagef("--issuer is missing: the address of the project, such as https://auth.example.com/prj_…")
			}
			if err := verify(c.Context(), jwt, text, issuer, jwks, time.Now); err != nil {
				return err
			}
			return t.show(map[string]any{"valid": true, "claims": jwt.claims}, func() {
				t.printf("valid: signed by the project, for %s, until %s\n", jwt.text("sub"), when(jwt.time("exp")))
			})
		},
	}
	c.Flags().StringVar(&issuer, "issuer", "", "the issuer that the token must have; its key set is fetched unless --jwks is given")
	c.Flags().StringVar(&jwks, "jwks", "", "file with the key set")
	return c
}

func (t *terminal) tokenText(arg string) (string, error) {
	if arg != "-" {
		return strings.TrimSpace(arg), nil
	}
	const most = claim.MaxToken + 2 // a line break more
	b, err := io.ReadAll(io.LimitReader(t.in, most+1))
	if err == nil && len(b) > most {
		err = errLong
	}
	return string(bytes.TrimSpace(b)), err
}

var errLong = fmt.Errorf("this isn't a token: none is longer than %d bytes", claim.MaxToken)

// strict refuses spare bits; decoding it ignores line breaks all the same.
var strict = base64.RawURLEncoding.Strict()

// jwt is a compact JWS that nobody has checked yet.
type jwt struct {
	input     string // what is signed
	signature []byte
	header    map[string]any
	claims    map[string]any
}

func parseJWT(s string) (*jwt, error) {
	if strings.HasPrefix(s, "rt_") {
		return nil, fmt.Errorf("this is an opaque refresh token: only the server can read it")
	}
	parts := strings.Split(s, ".")
	if len(s) > claim.MaxToken {
		return nil, errLong
	}
	if len(parts) != 3 || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("this isn't a JWT: three parts with dots between them are wanted, in one line; %d were found", len(parts))
	}
	j := &jwt{input: parts[0] + "." + parts[1]}
	for i, into := range []*map[string]any{&j.header, &j.claims} {
		b, err := strict.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			return nil, fmt.Errorf("the %s can't be read: the token is altered or truncated", []string{"header", "claims"}[i])
		}
	}
	var err error
	if j.signature, err = strict.DecodeString(parts[2]); err != nil {
		return nil, fmt.Errorf("the signature can't be read: the token is altered or truncated")
	}
	return j, nil
}

func (j *jwt) text(claim string) string {
	s, _ := j.claims[claim].(string)
	return s
}

func (j *jwt) time(claim string) time.Time {
	n, ok := j.claims[claim].(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(n), 0)
}

func (t *terminal) printJWT(j *jwt) {
	for _, part := range []struct {
		name   string
		values map[string]any
	}{{"header", j.header}, {"claims", j.claims}} {
		t.printf("%s\n", part.name)
		names := make([]string, 0, len(part.values))
		for name := range part.values {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			value, _ := json.Marshal(part.values[name])
			note := ""
			if slices.Contains([]string{"exp", "iat", "nbf", "auth_time"}, name) {
				note = "   " + when(j.time(name))
			}
			t.printf("  %-12s %s%s\n", name, value, note)
		}
	}
	if interactive(os.Stdout) {
		t.printf("\nnot checked; latchkey token verify does that\n")
	}
}
