package latchkeytest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// machine is an access key.
type machine struct {
	id     string
	claims Claims
}

// AccessKey makes an access key and returns its secret. The claims are in all tokens that
// it is exchanged for; they may replace any other, and one that is nil takes it out.
func (i *Issuer) AccessKey(claims ...Claims) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	secret := "lk_ak_" + rand.Text()
	i.machines[secret] = &machine{newID("ak"), merge(claims)}
	return secret
}

// DeleteAccessKey deletes an access key by its secret: it, and the tokens that were got
// with it, are refused. When it returns, the issuer's Verifiers know.
func (i *Issuer) DeleteAccessKey(secret string) {
	i.t.Helper()
	i.mu.Lock()
	m := i.machines[secret]
	delete(i.machines, secret)
	i.mu.Unlock()
	if m == nil {
		i.t.Errorf("latchkeytest: there is no such access key")
		return
	}
	i.publish("user", m.id)
}

// ChangeRole tells the verifiers that a role has changed, as the server does: tokens that
// name it, in roles or in tenants, are outdated until they are refreshed. What they say
// then is up to ChangeClaims.
func (i *Issuer) ChangeRole(name string) {
	i.t.Helper()
	i.publish("role", latchkey.RoleMark(name))
}

// RollOut tells the verifiers that a template was rolled out to the sessions whose
// latchkey.Share is at least from and below to: their tokens are outdated until they are
// refreshed.
func (i *Issuer) RollOut(from, to int) {
	i.t.Helper()
	i.publish("share", latchkey.ShareMark(from, to))
}

func (i *Issuer) exchange(r *http.Request) (any, *refusal) {
	var body latchkey.ExchangeBody
	if no := decodeBody(r, &body); no != nil {
		return nil, no
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	m := i.machines[bearer(r)]
	if m == nil {
		return nil, refuse(latchkey.CodeUnauthenticated, "This project has no such access key.")
	}
	now := i.now()
	i.tick() // what changes from now on is later than the token
	end := now.Add(i.config.SessionTokenTTL).Truncate(time.Second)
	claims := Claims{
		"iss": i.URL(), "sub": m.id, "aud": []string{i.id}, "iat": NumericDate(now), "nbf": NumericDate(now), "exp": NumericDate(end),
		"jti": strings.ToLower(rand.Text()), "client_id": m.id, "drn": "DS", "amr": []string{}, "tenants": map[string]any{}, "roles": []string{},
		"permissions": []string{}, "epc": now.UnixMilli(),
	}
	if body.Tenant != "" {
		claims["dct"] = body.Tenant
	}
	if len(body.Claims) > 0 {
		claims["nsec"] = json.RawMessage(body.Claims)
	}
	text, err := i.sign(typeSession, merge([]Claims{claims, m.claims}))
	if err != nil {
		return nil, refuse(latchkey.CodeInternal, "The token can't be signed.")
	}
	return latchkey.MachineToken{SessionToken: text, SessionExpiresAt: end.UTC(), AccessKey: m.id, ServerTime: now.UTC()}, nil
}
