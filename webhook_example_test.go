package latchkey_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// verify reports whether a message to our webhook is from Latchkey and new.
func verify(secret string, r *http.Request, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	sent, notNumber := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil || notNumber != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", r.Header.Get("webhook-id"), sent, body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for one := range strings.FieldsSeq(r.Header.Get("webhook-signature")) {
		if hmac.Equal([]byte(one), want) {
			return true
		}
	}
	return false
}

// The code of docs/webhooks.md accepts what the specification's own library has signed,
// and nothing else.
func TestWebhookPageVerifies(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"type":"user.created"}`)
	for name, c := range map[string]struct {
		age    time.Duration
		change func(h http.Header, body *[]byte)
		want   bool
	}{
		"as it was sent":       {0, func(http.Header, *[]byte) {}, true},
		"with two signatures":  {0, func(h http.Header, _ *[]byte) { h.Set("webhook-signature", "v1,AAAA "+h.Get("webhook-signature")) }, true},
		"a few minutes late":   {4 * time.Minute, func(http.Header, *[]byte) {}, true},
		"recorded":             {6 * time.Minute, func(http.Header, *[]byte) {}, false},
		"of the future":        {-6 * time.Minute, func(http.Header, *[]byte) {}, false},
		"with another body":    {0, func(_ http.Header, b *[]byte) { *b = []byte(`{}`) }, false},
		"with another id":      {0, func(h http.Header, _ *[]byte) { h.Set("webhook-id", "evt_2") }, false},
		"without a signature":  {0, func(h http.Header, _ *[]byte) { h.Del("webhook-signature") }, false},
		"without a time":       {0, func(h http.Header, _ *[]byte) { h.Del("webhook-timestamp") }, false},
		"with another version": {0, func(h http.Header, _ *[]byte) { h.Set("webhook-signature", "v0"+h.Get("webhook-signature")[2:]) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.Now().Add(-c.age)
			signature, err := signer.Sign("evt_1", at, body)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "/hooks", nil)
			r.Header.Set("webhook-id", "evt_1")
			r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
			r.Header.Set("webhook-signature", signature)
			got := body
			c.change(r.Header, &got)
			if ok := verify(secret, r, got); ok != c.want {
				t.Errorf("accepted: %v", ok)
			}
		})
	}
}
