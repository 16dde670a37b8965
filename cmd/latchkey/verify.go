package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"time"
)

// clockSkew is how far the clocks of server and verifier may be apart.
const clockSkew = time.Minute

// maxJWKS bounds what is read of a key set.
const maxJWKS = 1 << 20

type jwk struct {
	Kty, Kid, Alg, Use, Crv, X, Y, N, E string
}

// verify checks a session token as an application would: with nothing but the key set.
func verify(ctx context.Context, j *jwt, issuer, jwksFile string, now time.Time) error {
	if j.header["typ"] != "at+jwt" {
		return fmt.Errorf("not a session token: its typ is %q, at+jwt is wanted", j.header["typ"])
	}
	if j.text("iss") != issuer {
		return fmt.Errorf("wrong issuer: %q signed it, %q is wanted", j.text("iss"), issuer)
	}
	keys, err := keySet(ctx, issuer, jwksFile)
	if err != nil {
		return err
	}
	k, ok := find(keys, j.header["kid"])
	if !ok {
		return fmt.Errorf("the key set has no key %q: it was revoked, or the token isn't of this project", j.header["kid"])
	}
	// The key says which algorithm is right; the token can only agree.
	if j.header["alg"] != k.Alg {
		return fmt.Errorf("wrong algorithm: the key is for %s", k.Alg)
	}
	if err := k.check(j.input, j.signature); err != nil {
		return err
	}
	return times(j, now)
}

func times(j *jwt, now time.Time) error {
	switch exp, nbf := j.time("exp"), j.time("nbf"); {
	case exp.IsZero():
		return errors.New("the token has no expiry")
	case !now.Before(exp.Add(clockSkew)):
		return fmt.Errorf("expired at %s", when(exp))
	case now.Add(clockSkew).Before(nbf):
		return fmt.Errorf("not valid before %s; is this machine's clock right?", when(nbf))
	}
	return nil
}

func find(keys []jwk, kid any) (jwk, bool) {
	for _, k := range keys {
		if k.Kid == kid && k.Use == "sig" {
			return k, true
		}
	}
	return jwk{}, false
}

func keySet(ctx context.Context, issuer, file string) ([]jwk, error) {
	var body []byte
	var err error
	if file != "" {
		body, err = os.ReadFile(file)
	} else {
		body, err = fetch(ctx, issuer+"/.well-known/jwks.json")
	}
	if err != nil {
		return nil, err
	}
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the key set can't be read: %w", err)
	}
	return set.Keys, nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxJWKS))
}

var errSignature = errors.New("the signature is wrong: the token was altered, or another key signed it")

func (k jwk) check(input string, signature []byte) error {
	digest := sha256.Sum256([]byte(input))
	ok := false
	switch {
	case k.Kty == "EC" && k.Crv == "P-256" && k.Alg == "ES256" && len(signature) == 64:
		// 0x04 and both coordinates; a point that isn't on the curve is refused.
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, bytesOf(k.X)...), bytesOf(k.Y)...))
		ok = err == nil && ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case k.Kty == "OKP" && k.Crv == "Ed25519" && k.Alg == "EdDSA":
		public := bytesOf(k.X)
		ok = len(public) == ed25519.PublicKeySize && ed25519.Verify(public, []byte(input), signature)
	case k.Kty == "RSA" && k.Alg == "RS256":
		public := &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}
		ok = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	if !ok {
		return errSignature
	}
	return nil
}

func bytesOf(s string) []byte {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return b
}

func number(s string) *big.Int { return new(big.Int).SetBytes(bytesOf(s)) }
