package latchkey

import (
	"bytes"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// hmacToken makes a token that is signed with a symmetric secret.
func hmacToken(t testing.TB, header string, secret []byte) string {
	t.Helper()
	input := base64text(header) + "." + base64text(payload(t, nil))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64text(mac.Sum(nil))
}

func TestAttack01AlgNone(t *testing.T) {
	for _, alg := range algorithms() {
		s := newTokenSigner(t, alg, "k1")
		v := newTestVerifier(t, s.keySet(t))
		good := s.mint(t, nil)
		parts := strings.Split(good, ".")
		for _, none := range []string{"none", "None", "nOnE", "NONE", "", " none", "none "} {
			header := base64text(fmt.Sprintf(`{"alg":%q,"kid":"k1","typ":"at+jwt"}`, none))
			for _, signature := range []string{"", parts[2], "AA"} {
				refusedAs(t, v, "alg "+none, header+"."+parts[1]+"."+signature, ReasonAlgorithm)
			}
			refusedAs(t, v, "alg "+none+", two parts", header+"."+parts[1], ReasonMalformed)
		}
		for what, header := range map[string]string{"no alg": `{"kid":"k1","typ":"at+jwt"}`, "alg null": `{"alg":null,"kid":"k1","typ":"at+jwt"}`, "a list": `{"alg":["ES256"],"kid":"k1","typ":"at+jwt"}`, "false": `{"alg":false,"kid":"k1","typ":"at+jwt"}`} {
			refusedAs(t, v, what, s.sign(t, header, payload(t, nil)), ReasonMalformed)
		}
		refusedAs(t, v, "an empty signature", parts[0]+"."+parts[1]+".", ReasonSignature)
		refusedAs(t, v, "no third part", parts[0]+"."+parts[1], ReasonMalformed)
		refusedAs(t, v, "nothing", "", ReasonMalformed)
		refusedAs(t, v, "dots alone", "..", ReasonMalformed)
	}
}

// The public key, in every form that libraries have taken for a secret.
func TestAttack02PublicKeyAsSecret(t *testing.T) {
	for _, alg := range algorithms() {
		s := newTokenSigner(t, alg, "k1")
		v := newTestVerifier(t, s.keySet(t))
		der, err := x509.MarshalPKIXPublicKey(s.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		secrets := map[string][]byte{
			"DER": der, "PEM": block, "PEM without its line break": bytes.TrimSpace(block), "PEM after a space": append([]byte(" "), block...),
			"PEM after a line break": append([]byte("\n"), block...), "the JWK": []byte(s.jwk(t, nil)), "the set": s.keySet(t), "the kid": []byte("k1"),
		}
		if k, ok := s.key.Public().(*rsa.PublicKey); ok {
			secrets["the modulus"] = k.N.Bytes()
			secrets["PKCS #1"] = x509.MarshalPKCS1PublicKey(k)
		}
		for what, secret := range secrets {
			for _, symmetric := range []string{"HS256", "HS384", "HS512", "hs256"} {
				refusedAs(t, v, what, hmacToken(t, fmt.Sprintf(`{"alg":%q,"kid":"k1","typ":"at+jwt"}`, symmetric), secret), ReasonAlgorithm)
			}
			refusedAs(t, v, what+" under the right alg", hmacToken(t, s.header(), secret), ReasonSignature)
		}
	}
}

func TestAttack03SymmetricKeys(t *testing.T) {
	s := newTokenSigner(t, algES256, "k1")
	for _, oct := range []string{
		`{"kty":"oct","k":"AAAA","kid":"oct"}`, `{"kty":"oct","k":"","kid":"oct"}`, `{"kty":"oct","kid":"oct"}`, `{"kty":"oct","k":"AAAA","kid":"oct","alg":"HS256"}`,
		`{"kty":"oct","k":"AAAA","kid":"oct","alg":"ES256"}`, s.jwk(t, map[string]any{"kid": "oct", "k": "AAAA"}),
	} {
		v := newTestVerifier(t, keySetOf(s.jwk(t, nil), oct))
		for _, secret := range [][]byte{nil, {0, 0, 0}, []byte("AAAA")} {
			refusedAs(t, v, oct, hmacToken(t, `{"alg":"HS256","kid":"oct","typ":"at+jwt"}`, secret), ReasonAlgorithm)
			refusedAs(t, v, oct, hmacToken(t, `{"alg":"ES256","kid":"oct","typ":"at+jwt"}`, secret), ReasonUnknownKey)
		}
	}
	// A key without alg verifies the algorithm of its type and nothing else.
	v := newTestVerifier(t, keySetOf(s.jwk(t, map[string]any{"alg": nil})))
	refusedAs(t, v, "no alg in the key", hmacToken(t, `{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, nil), ReasonAlgorithm)
	if _, err := v.Verify(t.Context(), s.mint(t, nil)); err != nil {
		t.Error(err)
	}
}

// A token that brings its own key is refused even when the key is the right one.
func TestAttack04EmbeddedKey(t *testing.T) {
	s, evil := newTokenSigner(t, algES256, "k1"), newTokenSigner(t, algES256, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for name, value := range map[string]string{
		"jwk": evil.jwk(t, nil), "jku": `"https://evil.example.com/jwks.json"`, "x5u": `"https://evil.example.com/x.pem"`, "x5c": `["AAAA"]`, "x5t": `"AAAA"`, "x5t#S256": `"AAAA"`,
	} {
		header := fmt.Sprintf(`{"alg":"ES256","kid":"k1","typ":"at+jwt",%q:%s}`, name, value)
		refusedAs(t, v, name, evil.sign(t, header, payload(t, nil)), ReasonAlgorithm)
		refusedAs(t, v, name+" by the right key", s.sign(t, header, payload(t, nil)), ReasonAlgorithm)
	}
	refusedAs(t, v, "an embedded public key", s.sign(t, `{"alg":"ES256","kid":"k1","typ":"at+jwt","jwk":`+s.jwk(t, nil)+`}`, payload(t, nil)), ReasonAlgorithm)
}

// A kid is compared and nothing else. That two keys of one kid are both refused is
// TestTwoKeysOfOneKid; keys of two issuers never meet, as a Verifier has one.
func TestAttack05KeyID(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for _, kid := range []string{
		"../../../../dev/null", "/dev/null", "' UNION SELECT 'AA' --", "k1' OR '1'='1", "$(id)", "|id", "https://evil.example.com/k1", "file:///etc/passwd",
		"k1\x00", "\x00", "K1", " k1", "k1 ", "k", "k11", "\u212a1", strings.Repeat("k", maxKeyID),
	} {
		refusedAs(t, v, fmt.Sprintf("kid %.20q", kid), s.sign(t, `{"alg":"EdDSA","kid":`+quoteJSON(kid)+`,"typ":"at+jwt"}`, payload(t, nil)), ReasonUnknownKey)
	}
	for what, header := range map[string]string{
		"no kid": `{"alg":"EdDSA","typ":"at+jwt"}`, "an empty kid": `{"alg":"EdDSA","kid":"","typ":"at+jwt"}`, "a number": `{"alg":"EdDSA","kid":1,"typ":"at+jwt"}`,
		"a list": `{"alg":"EdDSA","kid":["k1"],"typ":"at+jwt"}`, "two": `{"alg":"EdDSA","kid":"k1","kid":"k1","typ":"at+jwt"}`,
		"a long one": `{"alg":"EdDSA","kid":"` + strings.Repeat("k", maxKeyID+1) + `","typ":"at+jwt"}`,
	} {
		refusedAs(t, v, what, s.sign(t, header, payload(t, nil)), ReasonMalformed)
	}
	refusedAs(t, v, "a megabyte", s.sign(t, `{"alg":"EdDSA","kid":"`+strings.Repeat("k", 1<<20)+`","typ":"at+jwt"}`, "{}"), ReasonTooLarge)
}

// quoteJSON writes a string as JSON; strconv.Quote has escapes that JSON doesn't have.
func quoteJSON(s string) string {
	return strings.NewReplacer("\x00", `\u0000`).Replace(`"` + s + `"`)
}

func TestAttack06PsychicSignature(t *testing.T) {
	s := newTokenSigner(t, algES256, "k1")
	v := newTestVerifier(t, s.keySet(t))
	good := s.mint(t, nil)
	input := good[:strings.LastIndexByte(good, '.')]
	raw := s.signature(t, input)
	order := new(big.Int).SetBytes([]byte(orderP256))
	number := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
	zero, n, above := number(new(big.Int)), number(order), number(new(big.Int).Add(order, big.NewInt(1)))
	most := bytes.Repeat([]byte{255}, 32)
	for what, signature := range map[string][]byte{
		"r and s 0": append(bytes.Clone(zero), zero...), "r 0": append(bytes.Clone(zero), raw[32:]...), "s 0": append(bytes.Clone(raw[:32]), zero...),
		"r n": append(bytes.Clone(n), raw[32:]...), "s n": append(bytes.Clone(raw[:32]), n...), "both n": append(bytes.Clone(n), n...), "r n, s 0": append(bytes.Clone(n), zero...),
		"s above n": append(bytes.Clone(raw[:32]), above...), "all ones": append(bytes.Clone(most), most...),
		"r s swapped": append(bytes.Clone(raw[32:]), raw[:32]...), "r 1, s 1": append(number(big.NewInt(1)), number(big.NewInt(1))...),
	} {
		refusedAs(t, v, what, input+"."+base64text(signature), ReasonSignature)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		t.Fatal(err)
	}
	for what, signature := range map[string][]byte{
		"DER": der, "63 bytes": raw[:63], "65 bytes": append(bytes.Clone(raw), 0), "a zero before": append([]byte{0}, raw...), "32 bytes": raw[:32], "128 bytes": append(bytes.Clone(raw), raw...),
		"wide halves": append(append([]byte{0}, raw[:32]...), append([]byte{0}, raw[32:]...)...), "8 KiB": make([]byte, 8<<10), "one byte": {1}, "none": {},
	} {
		refusedAs(t, v, what, input+"."+base64text(signature), ReasonSignature)
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Errorf("the signature that all these were made of: %v", err)
	}
}

// Forms of JOSE that aren't compact JWS, and tokens inside of tokens.
func TestAttack07Nesting(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	good := s.mint(t, nil)
	unsigned := base64text(`{"alg":"none","typ":"at+jwt"}`) + "." + base64text(payload(t, nil)) + "."
	jwe := base64text(`{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT","kid":"k1"}`)
	refusedAs(t, v, "a JWE", jwe+".AAAA.AAAA.AAAA.AAAA", ReasonMalformed)
	refusedAs(t, v, "a JWE in three parts", jwe+"."+base64text(unsigned)+".", ReasonType)
	refusedAs(t, v, "an unsigned token in a signed one", s.sign(t, s.header(), unsigned), ReasonMalformed)
	refusedAs(t, v, "a good token in a signed one", s.sign(t, `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","cty":"JWT"}`, good), ReasonMalformed)
	refusedAs(t, v, "a good token as a text", s.sign(t, s.header(), `"`+good+`"`), ReasonMalformed)
	refusedAs(t, v, "claims in a list", s.sign(t, s.header(), "["+payload(t, nil)+"]"), ReasonMalformed)
	parts := strings.Split(good, ".")
	refusedAs(t, v, "JSON serialization", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]), ReasonMalformed)
	refusedAs(t, v, "a Bearer prefix", "Bearer "+good, ReasonMalformed)
	refusedAs(t, v, "two tokens", good+"."+good, ReasonMalformed)
}

// What would make a JWE expensive never gets to be looked at.
func TestAttack08Bombs(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for what, c := range map[string]struct {
		header string
		want   Reason
	}{
		"p2c": {`{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"p2s":"AA","kid":"k1","typ":"at+jwt"}`, ReasonAlgorithm},
		"zip": {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","zip":"DEF"}`, ReasonAlgorithm}, "zip null": {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","zip":null}`, ReasonAlgorithm},
		"dir": {`{"alg":"dir","enc":"A128GCM","kid":"k1","typ":"at+jwt"}`, ReasonAlgorithm}, "an empty JWE key": {`{"alg":"A256KW","enc":"A128GCM","kid":"k1","typ":"at+jwt"}`, ReasonAlgorithm},
	} {
		refusedAs(t, v, what, s.sign(t, c.header, payload(t, nil)), c.want)
	}
}

// Junk is refused by counting, before anything is allocated for its parts.
func TestAttack09MillionDots(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for what, c := range map[string]struct {
		token string
		want  Reason
	}{
		"a million dots": {strings.Repeat(".", 1_000_000), ReasonTooLarge}, "16384 dots": {strings.Repeat(".", maxToken), ReasonMalformed},
		"parts between": {strings.Repeat("eyJ.", maxToken/4), ReasonMalformed}, "a huge header": {strings.Repeat("A", maxToken-2) + "..", ReasonMalformed},
		"a huge payload": {s.mint(t, map[string]any{"x": strings.Repeat("x", 1<<20)}), ReasonTooLarge}, "one byte too much": {strings.Repeat("A", maxToken+1), ReasonTooLarge},
	} {
		refusedAs(t, v, what, c.token, c.want)
		if n := testing.AllocsPerRun(10, func() { _, _ = v.Verify(t.Context(), c.token) }); n > 3 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// There is no algorithm that is unknown and let through, nor one beside the key's own.
func TestAttack10UnknownAlgorithm(t *testing.T) {
	signers := []*tokenSigner{newTokenSigner(t, algES256, "k1"), newTokenSigner(t, algEdDSA, "k1"), newTokenSigner(t, algRS256, "k1")}
	for _, s := range signers {
		v := newTestVerifier(t, s.keySet(t))
		for _, alg := range []string{"ES256", "EdDSA", "RS256", "ES384", "ES512", "ES256K", "Ed25519", "Ed448", "RS384", "RS512", "PS256", "RS1", "es256", "EDDSA", "ES256 ", "ES256\u0000", "XX", "A128GCM"} {
			if alg == s.alg {
				continue
			}
			header := strings.Replace(s.header(), s.alg, strings.ReplaceAll(alg, "\x00", `\u0000`), 1)
			for _, by := range signers {
				refusedAs(t, v, s.alg+" key, alg "+alg, by.sign(t, header, payload(t, nil)), ReasonAlgorithm)
			}
		}
	}
}

func TestAttack11Encoding(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for what, header := range map[string]string{
		"crit": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","crit":["x"],"x":1}`, "an empty crit": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","crit":[]}`,
		"crit of a known one": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","crit":["exp"],"exp":1}`, "b64": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","b64":false,"crit":["b64"]}`,
		"b64 alone": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","b64":true}`,
	} {
		refusedAs(t, v, what, s.sign(t, header, payload(t, nil)), ReasonAlgorithm)
	}
	for what, header := range map[string]string{
		"alg twice": `{"alg":"none","alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, "typ twice": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","typ":"at+jwt"}`, "x twice": `{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x":1,"x":1}`,
		"text behind": s.header() + "{}", "a NUL behind": s.header() + "\x00", "a BOM": "\ufeff" + s.header(), "half": s.header()[:10], "empty": "", "a list": "[]",
	} {
		refusedAs(t, v, "header: "+what, s.sign(t, header, payload(t, nil)), ReasonMalformed)
	}
	for what, claims := range map[string]string{"text behind": payload(t, nil) + "{}", "a BOM": "\ufeff" + payload(t, nil), "a claim twice": strings.Replace(payload(t, nil), "{", `{"sub":"usr_2",`, 1), "invalid UTF-8": strings.Replace(payload(t, nil), "usr_1", "\xff", 1), "empty": ""} {
		refusedAs(t, v, "claims: "+what, s.sign(t, s.header(), claims), ReasonMalformed)
	}
	// Members that aren't known are ignored (RFC 7515 section 4), white space is JSON's own.
	for _, header := range []string{`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x":{"y":[1]}}`, "\n{ \"typ\" : \"at+jwt\", \"kid\" : \"k1\" , \"alg\":\"EdDSA\"}\t", `{"\u0061lg":"EdDSA","kid":"k1","typ":"at+jwt"}`} {
		if _, err := v.Verify(t.Context(), s.sign(t, header, payload(t, nil))); err != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
}

// Every other spelling of the same bytes, in every part.
func TestAttack11Spelling(t *testing.T) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, alg := range algorithms() {
		s := newTokenSigner(t, alg, "k12") // a header with spare bits
		v := newTestVerifier(t, s.keySet(t))
		good := s.mint(t, nil)
		for len(good[strings.IndexByte(good, '.')+1:strings.LastIndexByte(good, '.')])%4 == 0 {
			good = s.mint(t, map[string]any{"sub": "usr_1" + strings.Repeat("x", len(good)%7)})
		}
		parts := strings.Split(good, ".")
		for i := range parts {
			for what, spelled := range map[string]string{
				"padding": parts[i] + "=", "two pads": parts[i] + "==", "a space behind": parts[i] + " ", "a space before": " " + parts[i], "a line break": parts[i] + "\n", "a line break inside": parts[i][:4] + "\r\n" + parts[i][4:],
				"a tab": parts[i] + "\t", "standard base64": "+" + parts[i][1:], "a slash": "/" + parts[i][1:], "percent": "%41" + parts[i][1:], "a character more": parts[i] + "A", "a NUL": parts[i] + "\x00",
			} {
				all := append([]string{}, parts...)
				all[i] = spelled
				if c, err := v.Verify(t.Context(), strings.Join(all, ".")); err == nil || c != nil {
					t.Errorf("%s part %d: %s is taken", alg, i, what)
				}
			}
			last := parts[i][len(parts[i])-1]
			for _, d := range []byte(digits) {
				all := append([]string{}, parts...)
				if all[i] = parts[i][:len(parts[i])-1] + string(d); d == last {
					continue
				}
				if _, err := v.Verify(t.Context(), strings.Join(all, ".")); err == nil {
					t.Errorf("%s part %d: the last digit %c is as good as %c", alg, i, d, last)
				}
			}
		}
	}
}

// The cases of a lenient JSON parser are TestStrictJSON, TestClaimsOfWrongTypes and
// TestClaimForms; here they meet a whole token.
func TestAttack12LenientJSON(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	text := payload(t, map[string]any{"exp": nil, "sub": nil})
	with := func(members string) string { return s.sign(t, s.header(), "{"+members+","+text[1:]) }
	exp := testNoon.Add(time.Minute).Unix()
	for what, members := range map[string]string{
		"other letters": fmt.Sprintf(`"Sub":"usr_1","EXP":%d`, exp), "a long s": fmt.Sprintf(`"ſub":"usr_1","exp":%d`, exp), "twice": fmt.Sprintf(`"sub":"usr_1","sub":"usr_1","exp":%d`, exp),
		"a float": fmt.Sprintf(`"sub":"usr_1","exp":%d.0`, exp), "an exponent": `"sub":"usr_1","exp":9e9`, "too much": `"sub":"usr_1","exp":1e400`, "beyond 64 bits": `"sub":"usr_1","exp":99999999999999999999`,
		"a text": fmt.Sprintf(`"sub":"usr_1","exp":"%d"`, exp), "null": `"sub":"usr_1","exp":null`, "true": `"sub":"usr_1","exp":true`, "negative": `"sub":"usr_1","exp":-1`,
		"deep": fmt.Sprintf(`"sub":"usr_1","exp":%d,"x":`, exp) + nested(2000), "a number as sub": fmt.Sprintf(`"sub":1,"exp":%d`, exp),
	} {
		refusedAs(t, v, what, with(members), ReasonMalformed)
	}
	if _, err := v.Verify(t.Context(), with(fmt.Sprintf(`"sub":"usr_1","exp":%d`, exp))); err != nil {
		t.Errorf("the claims that all these were made of: %v", err)
	}
}

// An error never comes with claims, cached or not (refusedAs checks that in every other
// test, too). The confusions of aud are in TestVerifyClaims.
func TestAttack13ClaimsBesideError(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	token := s.mint(t, nil)
	for range 2 {
		c, err := v.Verify(t.Context(), token, Requirement{Roles: []string{"admin"}})
		if c != nil || ReasonOf(err) != ReasonRole {
			t.Errorf("%v, %v", c, err)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
}

// Tokens of other kinds, well signed by the same key. What an access key's token and an
// impersonation may do is for the routes to say, by Subject and Actor; a token that is
// bound to a key is in TestVerifyClaims.
func TestAttack14TokenType(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for _, typ := range []string{"rt+jwt", "JWT", "jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "AT+JWT", "at+JWT", "application/at+jwt", "at+jwt ", "at jwt", "at+jwt\u0000", ""} {
		header := `{"alg":"EdDSA","kid":"k1","typ":"` + strings.ReplaceAll(typ, "\x00", `\u0000`) + `"}`
		refusedAs(t, v, "typ "+typ, s.sign(t, header, payload(t, nil)), ReasonType)
	}
	refusedAs(t, v, "no typ", s.sign(t, `{"alg":"EdDSA","kid":"k1"}`, payload(t, nil)), ReasonType)
	refusedAs(t, v, "typ in the claims", s.sign(t, `{"alg":"EdDSA","kid":"k1"}`, payload(t, map[string]any{"typ": "at+jwt"})), ReasonType)
	c, err := v.Verify(t.Context(), s.mint(t, map[string]any{"act": map[string]string{"sub": "usr_9"}}))
	if err != nil || c.Actor == nil {
		t.Errorf("an impersonation doesn't show: %v", err)
	}
}

// An issuer is its exact text.
func TestAttack15Issuer(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	for _, issuer := range []string{
		ourIssuer + "/", ourIssuer + "x", ourIssuer[:len(ourIssuer)-1], "https://auth.example.com", "https://auth.example.com/", strings.ToUpper(ourIssuer), strings.Replace(ourIssuer, "https", "http", 1),
		strings.Replace(ourIssuer, ".com/", ".com:443/", 1), strings.Replace(ourIssuer, "auth.", "evil-auth.", 1), strings.Replace(ourIssuer, ".com", ".com.evil.example", 1), strings.Replace(ourIssuer, "https://", "https://evil@", 1),
		strings.Replace(ourIssuer, "/prj", "//prj", 1), strings.Replace(ourIssuer, "/prj", "/./prj", 1), strings.Replace(ourIssuer, "prj_", "%70rj_", 1), " " + ourIssuer, ourIssuer + " ", ourIssuer + "?", ourIssuer + "#", ourProject, "",
		strings.Replace(ourIssuer, "auth", "аuth", 1),
	} {
		refusedAs(t, v, issuer, s.mint(t, map[string]any{"iss": issuer}), ReasonIssuer)
	}
	// Another project of the same server, its key in the wrong set by mistake even.
	refusedAs(t, v, "another project", s.mint(t, map[string]any{"iss": "https://auth.example.com/prj_2", "aud": []string{"prj_2", ourProject}}), ReasonIssuer)
	refusedAs(t, v, "another audience", s.mint(t, map[string]any{"aud": []string{"prj_2"}}), ReasonAudience)
}

// Keys that prove nothing never get into a ring: see TestUnfitKeys and
// TestAttack16SmallOrder. Points off the curve of P-256, as JWK:
func TestAttack16InvalidCurve(t *testing.T) {
	s := newTokenSigner(t, algES256, "k1")
	for i := range byte(8) {
		var x [32]byte
		x[31] = i
		if _, err := StaticKeySet(keySetOf(s.jwk(t, map[string]any{"x": base64text(x[:])}))); err == nil {
			t.Errorf("a point with x = %d is taken", i)
		}
	}
}

// Every byte of a token changed and every cut of it, cold and while the good one is in
// the cache.
func TestAttack17Cut(t *testing.T) {
	for _, alg := range []string{algES256, algEdDSA} {
		s := newTokenSigner(t, alg, "k1")
		v := newTestVerifier(t, s.keySet(t))
		good := s.mint(t, nil)
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		for i := range len(good) {
			for what, token := range map[string]string{
				"cut at the end": good[:i], "cut at the front": good[i+1:], "a byte less": good[:i] + good[i+1:],
				"a byte changed": good[:i] + string(good[i]^1) + good[i+1:], "a byte doubled": good[:i+1] + good[i:],
			} {
				if token == good {
					continue
				}
				if c, err := v.Verify(t.Context(), token); err == nil || c != nil {
					t.Fatalf("%s, byte %d: %s is taken", alg, i, what)
				}
			}
		}
	}
}

// A mixed set, a huge one, an outage and a removed key meet a Verifier; see also
// TestAttack19RedirectToAnotherHost, TestAttack19UnknownKidFlood, TestAttack03SymmetricKeys
// and TestKeySetKeepsGoodSet.
func TestAttack19KeyRemoved(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		old, next := newTokenSigner(t, algES256, "old"), newTokenSigner(t, algES256, "next")
		server := &keyServer{body: string(keySetOf(old.jwk(t, nil), next.jwk(t, nil)))}
		v, err := NewVerifier(VerifierConfig{Issuer: ourIssuer, HTTPClient: &http.Client{Transport: server}})
		if err != nil {
			t.Fatal(err)
		}
		life := map[string]any{"iat": time.Now().Unix(), "nbf": nil, "exp": time.Now().Add(24 * time.Hour).Unix()}
		gone, stays := old.mint(t, life), next.mint(t, life)
		for _, token := range []string{gone, stays, gone, stays} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		server.publish(next.keySet(t))
		time.Sleep(2 * defaultKeyAge)
		refusedAs(t, v, "cached, its key is gone", gone, ReasonUnknownKey)
		if _, err := v.Verify(t.Context(), stays); err != nil {
			t.Error(err)
		}
		if st := v.Status().Cache; st.Entries != 1 {
			t.Errorf("%+v: what a removed key signed is still there", st)
		}
		// Another key under the old name doesn't bring the token back.
		server.publish(keySetOf(next.jwk(t, nil), newTokenSigner(t, algES256, "old").jwk(t, nil)))
		time.Sleep(2 * defaultKeyAge)
		refusedAs(t, v, "another key of that name", gone, ReasonSignature)
		if _, err := v.Verify(t.Context(), stays); err != nil {
			t.Error(err)
		}
	})
}

// A server that publishes a key a day before it signs with it is never ahead of verifiers
// that cache for a day, not even of one that can't reach it meanwhile.
func TestAttack20Rotation(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		old, next := newTokenSigner(t, algEdDSA, "old"), newTokenSigner(t, algEdDSA, "next")
		server := &keyServer{body: string(old.keySet(t)), header: http.Header{"Cache-Control": {"max-age=172800"}}}
		v, err := NewVerifier(VerifierConfig{Issuer: ourIssuer, HTTPClient: &http.Client{Transport: server}})
		if err != nil {
			t.Fatal(err)
		}
		signer := old
		start := time.Now()
		for hour := range 96 {
			switch hour {
			case 10:
				server.publish(keySetOf(old.jwk(t, nil), next.jwk(t, nil)))
			case 10 + 25:
				server.set(func(s *keyServer) { s.err = http.ErrHandlerTimeout })
				signer = next
			case 60:
				server.set(func(s *keyServer) { s.err = nil })
				server.publish(next.keySet(t))
			}
			token := signer.mint(t, map[string]any{"iat": time.Now().Unix(), "nbf": nil, "exp": time.Now().Add(10 * time.Minute).Unix(), "jti": fmt.Sprint(hour)})
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
		}
	})
}

// The sizes that concern a Verifier; headers and cookies are others'.
func TestAttack36Sizes(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	v := newTestVerifier(t, s.keySet(t))
	base := len(s.mint(t, map[string]any{"x": ""}))
	for _, size := range []int{4 << 10, 8 << 10, 16 << 10, 16<<10 + 4, 32 << 10} {
		token := s.mint(t, map[string]any{"x": strings.Repeat("x", (size-base)*3/4)})
		_, err := v.Verify(t.Context(), token)
		if want := map[bool]Reason{true: ReasonTooLarge}[len(token) > maxToken]; ReasonOf(err) != want || (err != nil) != (want != "") {
			t.Errorf("%d bytes: %v", len(token), err)
		}
	}
}

// Callers of many goroutines get their own errors and the claims of their own tokens.
func TestAttack37SharedState(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	f := &testFeed{}
	c := staticConfig(t, s.keySet(t))
	c.CacheBytes = 64 << 10 // small, so that entries come and go
	v := withFeed(t, c, f)
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			subject := fmt.Sprint("usr_", i)
			bad := s.mint(t, map[string]any{"sub": subject, "iss": subject})
			for n := range 100 {
				good := s.mint(t, map[string]any{"sub": subject, "jti": fmt.Sprint(n % 20)})
				if got, err := v.Verify(t.Context(), good); err != nil || got.Subject != subject {
					t.Errorf("%v, %v", got, err)
				}
				_, err := v.Verify(t.Context(), bad)
				if ReasonOf(err) != ReasonIssuer {
					t.Errorf("%v", err)
				} else if refused, ok := err.(*TokenError); ok {
					refused.Reason = Reason(subject) // spoils nobody else's
				}
				if n%10 == i {
					f.say("")
				}
			}
		})
	}
	callers.Wait()
	if st := v.Status().Cache; st.Bytes > 64<<10 {
		t.Errorf("%+v", st)
	}
}

func FuzzVerify(f *testing.F) {
	s := newTokenSigner(f, algES256, "k1")
	v := newTestVerifier(f, s.keySet(f))
	good := s.mint(f, nil)
	if _, err := v.Verify(f.Context(), good); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(s.sign(f, `{"alg":"none","kid":"k1","typ":"at+jwt"}`, payload(f, nil)))
	f.Add(s.sign(f, s.header(), `{}`))
	f.Add("..")
	f.Add(hmacToken(f, `{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, []byte("x")))
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(t.Context(), token)
		if (err == nil) != (token == good) || (c == nil) != (err != nil) {
			// A header or claims in another spelling would need a signature of their own.
			t.Errorf("%q: %v, %v", token, c, err)
		}
		if err != nil && ReasonOf(err) == "" {
			t.Errorf("%q: %v has no reason", token, err)
		}
	})
}
