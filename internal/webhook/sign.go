package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/secret"
)

// secretSize is the number of random bytes of a secret. The specification asks for 24 to
// 64.
const secretSize = 32

// newSecret returns what signs.
func newSecret() []byte {
	b := make([]byte, secretSize)
	rand.Read(b)
	return b
}

// shown returns the form in which a secret is given to the receiver.
func shown(key []byte) secret.Text {
	return secret.New("whsec_" + base64.StdEncoding.EncodeToString(key))
}

// sign returns the webhook-signature of a message: one signature of each key, separated
// by spaces, so that a receiver that knows either of them accepts it.
func sign(keys [][]byte, messageID string, at time.Time, body []byte) string {
	var all []string
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(messageID + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
