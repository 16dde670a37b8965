package latchkeytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Claims are claims of a token by name. Values are whatever encoding/json takes.
type Claims map[string]any

func merge(all []Claims) Claims {
	out := Claims{}
	for _, c := range all {
		maps.Copy(out, c)
	}
	return out
}

// The types of tokens.
const (
	typeSession = "at+jwt"
	typeRefresh = "rt+jwt"
)

// signingKey is a key of the project, ES256.
type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
	revoked bool
}

func (i *Issuer) newKey() *signingKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatalf("latchkeytest: making a key: %v", err)
	}
	return &signingKey{id: newID("key"), private: k}
}

// active returns the key that signs: the last one that isn't revoked. There always is one.
func (i *Issuer) active() *signingKey {
	for _, k := range slices.Backward(i.keys) {
		if !k.revoked {
			return k
		}
	}
	return nil
}

// jwk returns the public part (RFC 7517).
func (k *signingKey) jwk() (map[string]string, error) {
	point, err := k.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": k.id,
		"x": encode(point[1:33]), "y": encode(point[33:]),
	}, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// form is what a token looks like beside its claims.
type form struct {
	header   map[string]any
	key      *signingKey
	unsigned bool
}

// SignOption makes a token that Sign returns differ from a good one.
type SignOption func(*Issuer, *form)

// Header sets a member of the token's header; nil takes it out. A good token has
// "typ": "at+jwt".
func Header(name string, value any) SignOption {
	return func(_ *Issuer, f *form) {
		if f.header[name] = value; value == nil {
			delete(f.header, name)
		}
	}
}

// ByStranger signs with a key that isn't the issuer's, under the name of one that is.
func ByStranger() SignOption {
	return func(i *Issuer, f *form) { f.key = i.newKey() }
}

// Unsigned leaves the signature out, and says so in the header (alg none).
func Unsigned() SignOption {
	return func(_ *Issuer, f *form) { f.unsigned, f.header["alg"] = true, "none" }
}

// Sign returns a session token that belongs to no session of the issuer. It has all
// claims that a good one has, replaced or completed by those given; nil takes one out.
// Times in claims are Unix seconds, as NumericDate makes them.
func (i *Issuer) Sign(claims Claims, options ...SignOption) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	s := &session{id: newID("ses"), user: newID("usr"), authTime: now, newest: strings.ToLower(rand.Text()), expires: now.Add(i.config.SessionTTL), claims: claims}
	text, err := i.sessionToken(s, s.newest, now, options...)
	if err != nil {
		i.t.Fatalf("latchkeytest: signing: %v", err)
	}
	return text
}

// NumericDate returns a time as claims have it (RFC 7519, 2).
func NumericDate(t time.Time) int64 { return t.Unix() }

// tokenEnd is when a session token that is made now expires.
func (i *Issuer) tokenEnd(s *session, now time.Time) time.Time {
	end := now.Add(i.config.SessionTokenTTL)
	if s.expires.Before(end) {
		end = s.expires
	}
	return end.Truncate(time.Second)
}

// sessionToken makes a session token of s that names held as its refresh token.
func (i *Issuer) sessionToken(s *session, held string, now time.Time, options ...SignOption) (string, error) {
	claims := merge([]Claims{{
		"iss": i.URL(), "sub": s.user, "aud": []string{i.id}, "iat": NumericDate(now), "nbf": NumericDate(now), "exp": NumericDate(i.tokenEnd(s, now)),
		"auth_time": NumericDate(s.authTime), "jti": strings.ToLower(rand.Text()), "sid": s.id, "rid": held, "drn": "DS", "amr": []string{"pwd"},
		"rexp": s.expires.UTC().Format(time.RFC3339), "tenants": map[string]any{}, "roles": []string{}, "permissions": []string{}, "epc": now.UnixMilli(),
	}, s.claims})
	return i.sign(typeSession, claims, options...)
}

// refreshToken makes the newest refresh token of s.
func (i *Issuer) refreshToken(s *session) (string, error) {
	return i.sign(typeRefresh, Claims{
		"iss": i.URL(), "sub": s.user, "aud": []string{i.id}, "iat": NumericDate(s.rotatedAt), "exp": NumericDate(s.expires), "auth_time": NumericDate(s.authTime),
		"sid": s.id, "rid": s.newest, "prt": s.parent, "drn": "DSR", "amr": []string{"pwd"},
	})
}

func (i *Issuer) sign(typ string, claims Claims, options ...SignOption) (string, error) {
	k := i.active()
	f := form{header: map[string]any{"alg": "ES256", "kid": k.id, "typ": typ}, key: k}
	for _, o := range options {
		o(i, &f)
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	var text bytes.Buffer
	for _, part := range []any{f.header, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		text.WriteString(encode(b) + ".")
	}
	if f.unsigned {
		return text.String(), nil
	}
	signature, err := f.key.sign(bytes.TrimSuffix(text.Bytes(), []byte(".")))
	return text.String() + encode(signature), err
}

// sign returns the signature of RFC 7518, 3.4: r and s, 32 bytes each.
func (k *signingKey) sign(text []byte) ([]byte, error) {
	digest := sha256.Sum256(text)
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, err
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
}

// credential is what an authentic token says.
type credential struct {
	kind    string
	session string
	token   string
	parent  string
	expires time.Time
	claims  json.RawMessage
}

var (
	errUnreadable = errors.New("the token isn't authentic")
	errKeyRevoked = errors.New("the key of the token was revoked")
)

// read returns what a token of the issuer says, also one that has expired.
func (i *Issuer) read(text string) (credential, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return credential{}, errUnreadable
	}
	var header struct{ Alg, Kid, Typ string }
	var claims struct {
		Sid, Rid, Prt string
		Exp           int64
	}
	body, err := decode(parts[1], &claims)
	_, headerErr := decode(parts[0], &header)
	signature, signatureErr := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if errors.Join(err, headerErr, signatureErr) != nil || header.Alg != "ES256" || len(signature) != 64 {
		return credential{}, errUnreadable
	}
	at := slices.IndexFunc(i.keys, func(k *signingKey) bool { return k.id == header.Kid })
	if at < 0 {
		return credential{}, errUnreadable
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(&i.keys[at].private.PublicKey, digest[:], r, s) || header.Typ != typeSession && header.Typ != typeRefresh {
		return credential{}, errUnreadable
	}
	c := credential{header.Typ, claims.Sid, claims.Rid, claims.Prt, time.Unix(claims.Exp, 0).UTC(), body}
	if i.keys[at].revoked {
		return c, errKeyRevoked
	}
	return c, nil
}

func decode(part string, into any) (json.RawMessage, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, err
	}
	return b, json.Unmarshal(b, into)
}
