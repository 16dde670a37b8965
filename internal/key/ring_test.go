package key

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

var someClaims = []byte(`{"iss":"https://id.example.com/prj_1","sub":"usr_1","aud":["prj_1"],"exp":1790000000}`)

func mint(t testing.TB, r *Ring, kid id.Key, typ Type, claims []byte) string {
	t.Helper()
	token, err := r.Mint(kid, typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// refused asserts an error and that nothing comes with it (attack 13).
func refused(t testing.TB, r *Ring, token string, typ Type, want error) {
	t.Helper()
	claims, kid, err := r.Open(token, typ)
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%.60q: error %v, want %v", token, err, want)
	}
	if claims != nil || !kid.IsZero() {
		t.Errorf("%.60q: the error comes with %q of %v", token, claims, kid)
	}
}

func TestMintAndOpen(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			r, k := newRing(t, alg)
			for _, typ := range []Type{AccessToken, RefreshToken} {
				for n := range 70 { // all lengths modulo 3, and then some
					claims := []byte(`{"a":"` + strings.Repeat("é", n) + `"}`)
					token := mint(t, r, k.ID, typ, claims)
					got, kid, err := r.Open(token, typ)
					if err != nil || !bytes.Equal(got, claims) || kid != k.ID {
						t.Fatalf("%q of %v: %v", got, kid, err)
					}
				}
				token := mint(t, r, k.ID, typ, someClaims)
				head, _, _ := strings.Cut(token, ".")
				want := `{"alg":"` + string(alg) + `","kid":"` + k.ID.String() + `","typ":"` + string(typ) + `"}`
				if got := string(b64(t, head)); got != want || r.Header(k.ID, typ) != head {
					t.Errorf("header %s", got)
				}
			}
			refused(t, r, mint(t, r, r.Active(), AccessToken, someClaims), RefreshToken, ErrType)
			refused(t, r, mint(t, r, r.Active(), RefreshToken, someClaims), AccessToken, ErrType)
			refused(t, r, mint(t, r, r.Active(), RefreshToken, someClaims), "JWT", ErrType)
		})
	}
}

// The same claims give the same token, in another process and by another server too.
func TestMintIsDeterministic(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	for _, alg := range algorithms {
		k := newKey(t, master, p, Active, alg, newSigner(t, alg))
		var tokens []string
		for range 2 {
			r, err := OpenRing(master, []Key{k})
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, mint(t, r, k.ID, AccessToken, someClaims), mint(t, r, k.ID, AccessToken, someClaims))
			sig, err := r.Sign(k.ID, []byte(tokens[0][:strings.LastIndexByte(tokens[0], '.')]))
			if err != nil || !strings.HasSuffix(tokens[0], "."+text(sig)) {
				t.Errorf("%s: Sign and Mint disagree: %v", alg, err)
			}
		}
		for _, token := range tokens {
			if token != tokens[0] {
				t.Errorf("%s: two tokens of one claim set", alg)
			}
		}
	}
}

// Attacks 6, 11, 17: whatever is done to a token, it must fail.
func TestAlteredTokens(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			r, k := newRing(t, alg)
			token := mint(t, r, k.ID, AccessToken, someClaims)
			for i := range len(token) {
				for bit := range 8 {
					b := []byte(token)
					b[i] ^= 1 << bit
					refused(t, r, string(b), AccessToken, nil)
				}
				refused(t, r, token[:i], AccessToken, nil)
				refused(t, r, token[i+1:], AccessToken, nil)
				for _, c := range []string{"\n", "\r\n", " ", "=", ".", "A", "\x00", "\ufeff"} {
					refused(t, r, token[:i]+c+token[i:], AccessToken, nil)
				}
			}
			for _, end := range []string{"\n", " ", "=", "==", ".", ".x", "A", "AAAA", "\x00"} {
				refused(t, r, token+end, AccessToken, nil)
			}
			refused(t, r, strings.ToUpper(token), AccessToken, nil)
			// One character may not stand for two: the spare bits of the last digit.
			parts := strings.Split(token, ".")
			for i, part := range parts {
				const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
				for _, c := range digits {
					parts[i] = part[:len(part)-1] + string(c)
					if parts[i] != part {
						refused(t, r, strings.Join(parts, "."), AccessToken, nil)
					}
				}
				parts[i] = part
			}
		})
	}
}

// Attack 6: signatures of special values, and second signatures of the same input.
func TestForeignSignatures(t *testing.T) {
	n, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	r, k := newRing(t, ES256)
	token := mint(t, r, k.ID, AccessToken, someClaims)
	input := token[:strings.LastIndexByte(token, '.')+1]
	sig := b64(t, token[len(input):])
	sum := new(big.Int).Sub(n, new(big.Int).SetBytes(sig[32:]))
	mirrored := append(bytes.Clone(sig[:32]), sum.FillBytes(make([]byte, 32))...)
	if !verify(t, readJWKS(t, r.JWKS())[k.ID.String()], input+text(mirrored)) {
		t.Fatal("the mirrored signature should satisfy a plain verifier")
	}
	order := n.FillBytes(make([]byte, 32))
	der := append([]byte{0x30, 0x44, 2, 32}, append(append(bytes.Clone(sig[:32]), 2, 32), sig[32:]...)...)
	for name, s := range map[string][]byte{
		"mirrored": mirrored, "zero": make([]byte, 64), "order": append(bytes.Clone(order), order...), "DER": der,
		"r zero": append(make([]byte, 32), sig[32:]...), "empty": nil, "one byte more": append(bytes.Clone(sig), 0),
		"leading zero": append([]byte{0}, sig...), "oversize": make([]byte, 8000),
	} {
		t.Run(name, func(t *testing.T) { refused(t, r, input+text(s), AccessToken, ErrSignature) })
	}
	t.Run("RSA plus modulus", func(t *testing.T) {
		r, k := newRing(t, RS256)
		modulus := new(big.Int).SetBytes(b64(t, readJWKS(t, r.JWKS())[k.ID.String()]["n"]))
		for i := 0; ; i++ {
			token := mint(t, r, k.ID, AccessToken, fmt.Appendf(nil, `{"n":%d}`, i))
			at := strings.LastIndexByte(token, '.') + 1
			sum := new(big.Int).SetBytes(b64(t, token[at:]))
			if sum.Add(sum, modulus); sum.BitLen() <= 2048 {
				refused(t, r, token[:at]+text(sum.FillBytes(make([]byte, 256))), AccessToken, ErrSignature)
				return
			}
		}
	})
}

// Attacks 1 to 5, 8, 11: no header but our own is looked at, not even under an
// authentic signature.
func TestForeignHeaders(t *testing.T) {
	for _, alg := range algorithms {
		r, k := newRing(t, alg)
		kid := k.ID.String()
		public, err := json.Marshal(readJWKS(t, r.JWKS())[kid])
		if err != nil {
			t.Fatal(err)
		}
		own := `"alg":"` + string(alg) + `","kid":"` + kid + `","typ":"at+jwt"`
		for _, head := range []string{
			`{"alg":"none"}`, `{"alg":"nOnE","kid":"` + kid + `","typ":"at+jwt"}`, `{"alg":"none","kid":"` + kid + `","typ":"at+jwt"}`,
			`{"alg":"HS256","kid":"` + kid + `","typ":"at+jwt"}`, `{"alg":"","kid":"` + kid + `","typ":"at+jwt"}`,
			`{` + own + `,"jwk":` + string(public) + `}`, `{` + own + `,"jku":"https://evil.example/jwks.json"}`,
			`{` + own + `,"x5u":"https://evil.example/"}`, `{` + own + `,"x5c":[""]}`, `{` + own + `,"crit":["exp"]}`,
			`{` + own + `,"b64":false,"crit":["b64"]}`, `{` + own + `,"zip":"DEF"}`, `{` + own + `,` + own + `}`,
			`{` + own + `} `, ` {` + own + `}`, "\ufeff{" + own + `}`, `{"typ":"at+jwt",` + own + `}`, `{}`, ``, `null`,
			`{"alg":"` + string(alg) + `","kid":"../../dev/null","typ":"at+jwt"}`,
			`{"alg":"` + string(alg) + `","kid":"` + strings.Repeat("k", 9000) + `","typ":"at+jwt"}`,
			`{"alg":"` + string(alg) + `","kid":"` + kid + `\u0000","typ":"at+jwt"}`,
			`{"alg":"` + string(alg) + `","kid":"` + kid + `","typ":"JWT"}`,
			`{"alg":"` + string(alg) + `","kid":"` + kid + `","typ":"AT+JWT"}`,
			`{"alg":"` + string(alg) + `","kid":"` + kid + `"}`,
			`{"alg":"` + string(alg) + `","kid":"` + id.NewKey(start).String() + `","typ":"at+jwt"}`,
		} {
			input := text([]byte(head)) + "." + text(someClaims)
			sig, err := r.Sign(k.ID, []byte(input))
			if err != nil {
				t.Fatal(err)
			}
			mac := hmac.New(sha256.New, public)
			mac.Write([]byte(input))
			for _, s := range [][]byte{sig, mac.Sum(nil), nil} {
				refused(t, r, input+"."+text(s), AccessToken, ErrUnknown)
			}
		}
	}
}

// Attack 9, and texts that are no tokens at all.
func TestMalformedTokens(t *testing.T) {
	r, k := newRing(t, EdDSA)
	token := mint(t, r, k.ID, AccessToken, someClaims)
	for _, c := range []struct {
		token string
		want  error
	}{
		{"", ErrMalformed}, {".", ErrMalformed}, {"...", ErrMalformed}, {"....", ErrMalformed}, {"..", ErrUnknown},
		{strings.Repeat(".", MaxToken), ErrMalformed}, {strings.Repeat(".", 10_000_000), ErrTooLong},
		{strings.Repeat("a", MaxToken+1), ErrTooLong}, {token + strings.Repeat("A", MaxToken), ErrTooLong},
		{token[:strings.LastIndexByte(token, '.')], ErrMalformed}, {token[:strings.LastIndexByte(token, '.')+1], ErrSignature},
		{"a.b.c.d.e", ErrMalformed}, {" " + token, ErrUnknown}, {"Bearer " + token, ErrUnknown},
	} {
		refused(t, r, c.token, AccessToken, c.want)
	}
	// Signed by us, and still not a claim set that Mint could have written.
	for _, claims := range []string{"e30=", "e30\n", "e3\n0", "e31", "e", "e30.", "%7B"} {
		input := r.Header(k.ID, AccessToken) + "." + claims
		sig, err := r.Sign(k.ID, []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		refused(t, r, input+"."+text(sig), AccessToken, ErrMalformed)
	}
}

func TestLongestToken(t *testing.T) {
	for _, alg := range algorithms {
		r, k := newRing(t, alg)
		// The shortest claims that Mint refuses.
		n := sort.Search(MaxToken, func(n int) bool {
			_, err := r.Mint(k.ID, AccessToken, make([]byte, n))
			if err != nil && !errors.Is(err, ErrTooLong) {
				t.Fatal(err)
			}
			return err != nil
		})
		token := mint(t, r, k.ID, AccessToken, make([]byte, n-1))
		if len(token) > MaxToken || len(token) < MaxToken-3 {
			t.Errorf("%s: the longest token has %d bytes", alg, len(token))
		}
		if _, _, err := r.Open(token, AccessToken); err != nil {
			t.Errorf("%s: the longest token doesn't open: %v", alg, err)
		}
	}
}

func TestStates(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	states := []State{Next, Active, Retired, Revoked}
	keys := map[State]Key{}
	tokens := map[State]string{}
	var all []Key
	for _, state := range states {
		k := newKey(t, master, p, Active, EdDSA, newSigner(t, EdDSA))
		alone, err := OpenRing(master, []Key{k})
		if err != nil {
			t.Fatal(err)
		}
		tokens[state] = mint(t, alone, k.ID, RefreshToken, someClaims)
		k.State = state
		keys[state], all = k, append(all, k)
	}
	r, err := OpenRing(master, all)
	if err != nil {
		t.Fatal(err)
	}
	if r.Active() != keys[Active].ID {
		t.Error("Active")
	}
	for state, want := range map[State]error{Next: ErrNotYet, Active: nil, Retired: nil, Revoked: ErrRevoked} {
		if _, err := r.Sign(keys[state].ID, nil); !errors.Is(err, want) {
			t.Errorf("%s key signs: %v", state, err)
		}
		token, err := r.Mint(keys[state].ID, RefreshToken, someClaims)
		if !errors.Is(err, want) || err == nil && token != tokens[state] {
			t.Errorf("%s key mints %q: %v", state, token, err)
		}
	}
	for state, want := range map[State]error{Next: nil, Active: nil, Retired: nil, Revoked: ErrRevoked} {
		if _, kid, err := r.Open(tokens[state], RefreshToken); !errors.Is(err, want) || err == nil && kid != keys[state].ID {
			t.Errorf("token of a %s key: %v", state, err)
		}
	}
	// Only the holder of an authentic token learns that its key was revoked.
	forged := tokens[Revoked][:len(tokens[Revoked])-4] + "AAAA"
	refused(t, r, forged, RefreshToken, ErrSignature)

	stranger := id.NewKey(start)
	if _, err := r.Sign(stranger, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown key signs: %v", err)
	}
	if _, err := r.Mint(r.Active(), "JWT", nil); !errors.Is(err, ErrType) {
		t.Errorf("an unknown type is minted: %v", err)
	}
	if r.Header(stranger, AccessToken) != "" || r.Header(r.Active(), "JWT") != "" {
		t.Error("a header for what doesn't exist")
	}
	other, k := newRing(t, EdDSA)
	refused(t, r, mint(t, other, k.ID, RefreshToken, someClaims), RefreshToken, ErrUnknown)
}

// OpenMinted computes no signature, and checks everything else that Open does.
func TestOpenMinted(t *testing.T) {
	r, k := newRing(t, ES256)
	token := mint(t, r, k.ID, RefreshToken, someClaims)
	if claims, kid, err := r.OpenMinted(token, RefreshToken); err != nil || !bytes.Equal(claims, someClaims) || kid != k.ID {
		t.Errorf("%q of %v: %v", claims, kid, err)
	}
	signature := strings.LastIndexByte(token, '.') + 1
	if _, _, err := r.OpenMinted(token[:signature]+strings.Repeat("A", len(token)-signature), RefreshToken); err != nil {
		t.Errorf("a signature was computed: %v", err)
	}
	other, _ := newRing(t, ES256)
	master := newMaster(t)
	revoked, next := newKey(t, master, k.Project, Revoked, ES256, newSigner(t, ES256)), newKey(t, master, k.Project, Active, ES256, newSigner(t, ES256))
	dead, err := OpenRing(master, []Key{revoked, next})
	if err != nil {
		t.Fatal(err)
	}
	header := dead.Header(revoked.ID, RefreshToken)
	for name, c := range map[string]struct {
		ring  *Ring
		token string
		typ   Type
		want  error
	}{
		"another type":    {r, token, AccessToken, ErrType},
		"another project": {other, token, RefreshToken, ErrUnknown},
		"cut":             {r, token[:len(token)-1], RefreshToken, ErrSignature},
		"two parts":       {r, token[:signature-1], RefreshToken, ErrMalformed},
		"a revoked key":   {dead, header + token[strings.IndexByte(token, '.'):], RefreshToken, ErrRevoked},
	} {
		if claims, kid, err := c.ring.OpenMinted(c.token, c.typ); !errors.Is(err, c.want) || claims != nil || !kid.IsZero() {
			t.Errorf("%s: %q of %v: %v, want %v", name, claims, kid, err, c.want)
		}
	}
}

func TestOpenRingRefuses(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	s := newSigner(t, EdDSA)
	active := newKey(t, master, p, Active, EdDSA, s)
	second := newKey(t, master, p, Active, EdDSA, s)
	retired := newKey(t, master, p, Retired, EdDSA, s)
	damaged := retired
	damaged.Sealed = append(bytes.Clone(retired.Sealed[:len(retired.Sealed)-1]), 0, 0)
	strange := retired
	strange.State = "paused"
	for name, keys := range map[string][]Key{
		"no key": nil, "no active key": {retired}, "two active keys": {active, second}, "twice": {active, active},
		"another project's": {active, newKey(t, master, id.NewProject(start), Retired, EdDSA, s)},
		"damaged":           {active, damaged}, "unknown state": {active, strange},
	} {
		if _, err := OpenRing(master, keys); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := OpenRing(newMaster(t), []Key{active}); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("another master key: %v", err)
	}
}

func TestRingIsSafeForConcurrentUse(t *testing.T) {
	for _, alg := range algorithms {
		r, k := newRing(t, alg)
		want := mint(t, r, k.ID, AccessToken, someClaims)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 5 {
					token, err := r.Mint(k.ID, AccessToken, someClaims)
					if err != nil || token != want {
						t.Errorf("%s: %v", alg, err)
					}
					if _, _, err := r.Open(token, AccessToken); err != nil {
						t.Errorf("%s: %v", alg, err)
					}
				}
			})
		}
		all.Wait()
	}
}

// Private parts must not come out of anything that prints.
func TestNothingLeaks(t *testing.T) {
	master, p := newMaster(t), id.NewProject(start)
	ec, ed, rs := newSigner(t, ES256).(es256), newSigner(t, EdDSA).(eddsa), newSigner(t, RS256).(rs256)
	d, err := ec.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private := [][]byte{d, ed.key.Seed(), rs.key.D.Bytes(), rs.key.Primes[0].Bytes(), rs.key.Primes[1].Bytes()}
	keys := []Key{newKey(t, master, p, Active, ES256, ec), newKey(t, master, p, Next, EdDSA, ed), newKey(t, master, p, Revoked, RS256, rs)}
	r, err := OpenRing(master, keys)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{r, *r, struct{ R *Ring }{r}, struct{ r Ring }{*r}, keys, r.keys, r.headers, r.active} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, r.String(), r.GoString())
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("x", "ring", r, "value", *r, "in", struct{ R *Ring }{r}, "keys", keys)
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"ring": r, "value": *r, "keys": keys}); err != nil {
		t.Fatal(err)
	}
	out.Write(r.JWKS())
	renamed := keys[0]
	renamed.Algorithm = RS256
	_, err = OpenRing(master, []Key{renamed})
	fmt.Fprintf(&out, "%v %+v %#v", err, err, err)
	_, err = r.Mint(keys[2].ID, AccessToken, d)
	fmt.Fprintf(&out, "%v %+v %#v", err, err, err)
	for i, b := range private {
		for _, form := range []string{
			string(b), fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), new(big.Int).SetBytes(b).String(), strings.Trim(fmt.Sprint(b), "[]"),
			base64.RawStdEncoding.EncodeToString(b[:len(b)/3*3]), base64.RawURLEncoding.EncodeToString(b[:len(b)/3*3]),
		} {
			if strings.Contains(out.String(), form) {
				t.Errorf("private part %d came out as %.20q…", i, form)
			}
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing was printed at all")
	}
}

// Whatever Open accepts is a token that Mint makes, to the byte.
func FuzzOpen(f *testing.F) {
	master, p := newMaster(f), id.NewProject(start)
	var keys []Key
	for i, alg := range algorithms {
		keys = append(keys, newKey(f, master, p, []State{Active, Retired, Retired}[i], alg, newSigner(f, alg)))
	}
	r, err := OpenRing(master, keys)
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range keys {
		for _, typ := range []Type{AccessToken, RefreshToken} {
			token := mint(f, r, k.ID, typ, someClaims)
			f.Add(token)
			f.Add(token[:len(token)-1])
			f.Add(token + "=")
			f.Add(strings.Replace(token, ".", "..", 1))
			f.Add(r.Header(k.ID, typ) + ".e30." + strings.Repeat("A", 86))
		}
	}
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		for _, typ := range []Type{AccessToken, RefreshToken} {
			claims, kid, err := r.Open(token, typ)
			if err != nil {
				if claims != nil || !kid.IsZero() {
					t.Errorf("%q: results beside an error", token)
				}
				continue
			}
			if again, err := r.Mint(kid, typ, claims); err != nil || again != token {
				t.Errorf("%q is accepted, but its claims make %q (%v)", token, again, err)
			}
		}
	})
}
