package latchkey

import (
	"strings"
	"testing"
)

const partsIssuer = "https://auth.example.com/prj_018f0000000000000000000001"

func testParts(t *testing.T, key string) (*Verifier, *Client) {
	t.Helper()
	v, err := NewVerifier(VerifierConfig{Issuer: partsIssuer})
	if err != nil {
		t.Fatal(err)
	}
	// Inside a cluster the server may have another address.
	c, err := NewClient(ClientConfig{Issuer: strings.Replace(partsIssuer, "https://auth.example.com", "http://latchkey:8080", 1), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

func TestNewMiddleware(t *testing.T) {
	v, c := testParts(t, "")
	m, err := NewMiddleware(MiddlewareConfig{Verifier: v, Client: c})
	if err != nil {
		t.Fatal(err)
	}
	if m.pages != "https://auth.example.com/docs/errors/" || m.devices || m.readOnly || m.signIn != nil {
		t.Errorf("%+v", m)
	}
	if _, ok := m.tokens.(*CookieStore); !ok {
		t.Errorf("tokens are in a %T", m.tokens)
	}
	_, withKey := testParts(t, "lk_mgmt_x")
	if m, err := NewMiddleware(MiddlewareConfig{Verifier: v, Client: withKey, Tokens: notebook{}, ReadOnly: true}); err != nil || !m.devices || m.tokens != (notebook{}) {
		t.Errorf("%v %+v", err, m)
	}
}

// All that is wrong is said at once.
func TestNewMiddlewareProblems(t *testing.T) {
	v, c := testParts(t, "")
	_, err := NewMiddleware(MiddlewareConfig{
		Verifier: v, Client: c, ReadOnly: true, SignInURL: "javascript:x", TrustedOrigins: []string{"*"},
		Cookies: CookieConfig{SameSite: "sometimes"},
	})
	for _, want := range []string{"ReadOnly", "SignInURL", "TrustedOrigins", "SameSite"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s isn't in %v", want, err)
		}
	}
	_, err = NewMiddleware(MiddlewareConfig{})
	if err == nil || !strings.Contains(err.Error(), "Verifier is missing") || !strings.Contains(err.Error(), "Client is missing") {
		t.Errorf("%v", err)
	}
	other, err := NewClient(ClientConfig{Issuer: partsIssuer + "2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = NewMiddleware(MiddlewareConfig{Verifier: v, Client: other}); err == nil || !strings.Contains(err.Error(), "different projects") {
		t.Errorf("%v", err)
	}
}
