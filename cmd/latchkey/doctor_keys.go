package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	longKeyCache = 24 * time.Hour
	weakRSA      = 2048 // bits
)

func (e *examination) keySet(ctx context.Context) {
	at, err := url.Parse(e.jwksURI)
	home, err2 := url.Parse(e.flags.issuer)
	if err != nil || err2 != nil || at.Host != home.Host || at.Scheme != home.Scheme {
		e.fail("keys", "jwks_elsewhere", "The key set is said to be at "+e.jwksURI+", which isn't the issuer's host; verifiers don't follow that.", "Set --public-url of the server.")
		return
	}
	answer, body, err := e.get(ctx, e.jwksURI, false)
	if err != nil || answer.StatusCode != http.StatusOK {
		e.fail("keys", "jwks", "The key set can't be had: "+outcome(answer, err), "")
		return
	}
	var set struct {
		Keys []struct {
			jwk
			Private string `json:"d"`
		}
	}
	if err := json.Unmarshal(body, &set); err != nil {
		e.fail("keys", "jwks", "The key set can't be read: "+err.Error(), "")
		return
	}
	kids, algorithms := map[string]bool{}, []string{}
	for _, k := range set.Keys {
		switch flaw := k.flaw(); {
		case k.Private != "":
			e.fail("keys", "private_key", "The key set shows the private part of key "+k.Kid+".", "Revoke that key now: latchkey key revoke.")
		case kids[k.Kid]:
			e.fail("keys", "kid", "Two keys are called "+k.Kid+".", "")
		case flaw != "":
			e.warn("keys", "unusable_key", "Key "+k.Kid+" can't be used: "+flaw+".", "")
		default:
			algorithms = append(algorithms, k.Alg)
		}
		kids[k.Kid] = true
	}
	if len(algorithms) == 0 {
		e.fail("keys", "no_keys", "The key set holds no usable key: no token can be verified.", "")
		return
	}
	for _, a := range e.announced {
		if !slices.Contains(algorithms, a) {
			e.warn("keys", "announced", "The discovery document announces "+a+", for which there is no key.", "")
		}
	}
	e.say(fine, "keys", "keys", count(len(algorithms), "usable key")+" ("+strings.Join(slices.Compact(slices.Sorted(slices.Values(algorithms))), ", ")+"), "+e.keyCache(answer), "")
}

// keyCache says for how long a key set may be cached.
func (e *examination) keyCache(answer *http.Response) string {
	for directive := range strings.SplitSeq(answer.Header.Get("Cache-Control"), ",") {
		seconds, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age=")
		n, err := strconv.Atoi(seconds)
		if !ok || err != nil {
			continue
		}
		age := time.Duration(n) * time.Second
		if age > longKeyCache {
			e.warn("keys", "long_cache", fmt.Sprintf("Caches may keep the key set for %v: a revoked key lives on for so long in whatever doesn't follow the feed.", age), "Let proxies pass Cache-Control on as it is.")
		}
		return "to be cached for " + age.String()
	}
	e.warn("keys", "no_cache", "Nothing says how long the key set may be cached.", "Let proxies pass Cache-Control on as it is.")
	return "not to be cached"
}

// jwk is an entry of a key set as it is written. The SDK only says which keys it takes;
// what is wrong with the others is for an examination to tell.
type jwk struct {
	Kty, Kid, Alg, Use, Crv, X, Y, N, E string
}

// flaw says why a verifier would leave the key aside.
func (k jwk) flaw() string {
	switch {
	case k.Use != "" && k.Use != "sig":
		return "it isn't for signatures"
	case k.Kid == "":
		return "it has no kid"
	case k.Kty == "EC" && k.Crv == "P-256" && k.Alg == "ES256":
		if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, bytesOf(k.X)...), bytesOf(k.Y)...)); err != nil {
			return "its point isn't on the curve"
		}
	case k.Kty == "OKP" && k.Crv == "Ed25519" && k.Alg == "EdDSA":
		if len(bytesOf(k.X)) != 32 {
			return "it isn't 32 bytes"
		}
	case k.Kty == "RSA" && k.Alg == "RS256":
		if exponent := number(k.E); number(k.N).BitLen() < weakRSA || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64()%2 == 0 {
			return "it is too weak"
		}
	default:
		return "its kind, " + k.Kty + " with " + k.Alg + ", isn't one of EC with ES256, OKP with EdDSA, RSA with RS256"
	}
	return ""
}

func bytesOf(s string) []byte {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return b
}

func number(s string) *big.Int { return new(big.Int).SetBytes(bytesOf(s)) }
