package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// TestAlteredCredentials cuts and alters every credential at every place. None passes,
// and none of it is terminal: a client with a damaged token must not be told that its
// session is over.
func TestAlteredCredentials(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	jwt := p.signIn(i.in, "alice@example.com")
	p.set(i.in, map[string]any{"refreshTokenFormat": "opaque"})
	opaque := p.signIn(i.in, "alice@example.com")
	if !strings.HasPrefix(opaque.RefreshToken, "rt_") {
		t.Fatalf("the opaque refresh token starts with %.4s", opaque.RefreshToken)
	}
	for name, c := range map[string]call{
		"session token":        {method: "GET", path: i.in.user("/session"), bearer: jwt.SessionToken},
		"refresh token":        refresh(i.in, jwt.RefreshToken),
		"opaque refresh token": refresh(i.in, opaque.RefreshToken),
		"management key":       {method: "GET", path: i.in.api("/settings"), bearer: i.in.ManagementKey},
	} {
		t.Run(name, func(t *testing.T) {
			p.ask(c).must(t, nil)
			for _, altered := range alterations(c.bearer) {
				c.bearer = altered
				p.ask(c).refused(t, http.StatusUnauthorized, latchkey.CodeUnauthenticated, false)
			}
		})
	}
}

// alterations returns a credential cut before each of its characters, with each of them
// another, and with something added.
func alterations(token string) []string {
	all := []string{token + "A", "A" + token, token + "=", token + "." + token, strings.ToUpper(token)}
	for n := range token {
		all = append(all, token[:n]+flip(token[n])+token[n+1:])
		if n > 0 {
			all = append(all, token[:n])
		}
	}
	return all
}

// TestForgedTokens presents tokens that somebody without the key can make.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set := p.signIn(i.in, "alice@example.com")
	parts := strings.Split(set.SessionToken, ".")
	var keys struct{ Keys []map[string]string }
	p.ask(call{method: "GET", path: i.in.user("/.well-known/jwks.json")}).must(t, &keys)
	kid := keys.Keys[0]["kid"]
	header := func(format string, args ...any) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, args...))
	}
	for name, token := range map[string]string{
		"alg none":          header(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"alg nOnE":          header(`{"alg":"nOnE","typ":"at+jwt","kid":%q}`, kid) + "." + parts[1] + "." + parts[2],
		"HS256":             header(`{"alg":"HS256","typ":"at+jwt","kid":%q}`, kid) + "." + parts[1] + "." + parts[2],
		"another typ":       header(`{"alg":"ES256","typ":"rt+jwt","kid":%q}`, kid) + "." + parts[1] + "." + parts[2],
		"jwk in the header": header(`{"alg":"ES256","typ":"at+jwt","jwk":{"kty":"EC"}}`) + "." + parts[1] + "." + parts[2],
		"jku in the header": header(`{"alg":"ES256","typ":"at+jwt","kid":%q,"jku":"%s/.well-known/jwks.json"}`, kid, p.url) + "." + parts[1] + "." + parts[2],
		"critical":          header(`{"alg":"ES256","typ":"at+jwt","kid":%q,"crit":["b64"],"b64":false}`, kid) + "." + parts[1] + "." + parts[2],
		"kid of a path":     header(`{"alg":"ES256","typ":"at+jwt","kid":"../../master.key"}`) + "." + parts[1] + "." + parts[2],
		"no signature":      parts[0] + "." + parts[1] + ".",
		"zero signature":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"two parts":         parts[0] + "." + parts[1],
		"a million dots":    strings.Repeat(".", 12000),
		"encrypted":         header(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + "....",
		"other claims":      parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sid":"ses_x","rid":"x"}`)) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			p.ask(call{method: "GET", path: i.in.user("/session"), bearer: token}).refused(t, 401, latchkey.CodeUnauthenticated, false)
			p.ask(refresh(i.in, token)).refused(t, 401, latchkey.CodeUnauthenticated, false)
		})
	}
}

// TestTokenInURL sends credentials where they end up in histories and logs. They are
// refused, also those that would be right, and the server's own log doesn't hold them.
func TestTokenInURL(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve("--log-level", "debug")
	set := p.signIn(i.in, "alice@example.com")
	i.keepWord("hunter2hunter2hunter2")
	for name, c := range map[string]call{
		"session":   {method: "GET", path: i.in.user("/session?token=" + set.SessionToken)},
		"refresh":   {method: "POST", path: i.in.user("/session/refresh?refreshToken=" + set.RefreshToken)},
		"twice":     {method: "POST", path: i.in.user("/session/refresh?refresh_token=x"), bearer: set.RefreshToken},
		"key":       {method: "GET", path: i.in.api("/sessions?key=" + i.in.ManagementKey)},
		"any name":  {method: "GET", path: i.in.api("/sessions?user=" + i.in.ManagementKey), bearer: i.in.ManagementKey},
		"any value": {method: "GET", path: i.in.user("/sessions?access_token=hunter2hunter2hunter2"), bearer: set.SessionToken},
		"as a name": {method: "GET", path: i.in.user("/session?" + set.SessionToken), bearer: set.SessionToken},
		"escaped":   {method: "GET", path: i.in.user("/session?t%6Fken=" + strings.Replace(set.SessionToken, ".", "%2E", 2))},
		"in a path": {method: "GET", path: "/session/" + set.SessionToken},
		"nowhere":   {method: "GET", path: "/login?jwt=" + set.SessionToken},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.ask(c)
			problem := a.refused(t, http.StatusBadRequest, latchkey.CodeTokenInURL, false)
			if strings.Contains(string(a.body), "hunter2") || i.leak(a.body) != "" {
				t.Errorf("the refusal repeats the credential: %s", a.body)
			}
			// The request is in the log, by its id, without the credential (newWorld sees to that).
			i.await("the request is in the log", func() bool { return strings.Contains(p.logged(), problem.RequestID) })
		})
	}
	if !strings.Contains(p.logged(), "[redacted]") {
		t.Error("nothing in the log is redacted, though a path held a token")
	}
}
