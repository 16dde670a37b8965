package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Credential is an authentic token of a project: its signature or MAC is right. Whether
// its session still lives is another question.
type Credential struct {
	Kind      Kind
	Session   id.Session
	Token     id.Refresh // rid
	Parent    id.Refresh // prt, of a refresh token
	ExpiresAt time.Time  // zero for the opaque form
	Claims    json.RawMessage
}

// errUnreadable is the refusal of everything that isn't an authentic token. It doesn't
// say what is wrong: the holder of a real token has no use for it, others would.
func errUnreadable() error {
	return fault.New(fault.Unauthenticated, "The token can't be read: it is altered, truncated, or not of this project.")
}

// read returns the credential in a token of one of the wanted kinds. It asks no store,
// so what is altered or truncated never reaches one.
func (p *project) read(t secret.Text, kinds ...Kind) (Credential, error) {
	text := t.Reveal()
	for _, kind := range kinds {
		if kind == RefreshToken && strings.HasPrefix(text, opaquePrefix) {
			return p.readOpaque(text)
		}
		c, err := p.readJWT(text, kind)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, key.ErrRevoked) && kind == RefreshToken:
			return c, fault.New(fault.SessionRevoked, "The key that signed this token was revoked, which ended its session; sign in again.")
		case errors.Is(err, key.ErrRevoked):
			// The session lives if another key signed its refresh token.
			return c, fault.New(fault.Unauthenticated, "The key that signed this session token was revoked; refresh the session.")
		}
	}
	return Credential{}, errUnreadable()
}

// unknownKey returns the key that a token names in its header, if this version of the
// project doesn't have it. Nothing is believed of it but that it may be a reason to look
// for a newer version.
func (p *project) unknownKey(t secret.Text) (id.Key, bool) {
	segment, _, ok := strings.Cut(t.Reveal(), ".")
	header, err := opaqueText.DecodeString(segment)
	var h struct {
		Key id.Key `json:"kid"`
	}
	if !ok || err != nil || json.Unmarshal(header, &h) != nil || h.Key.IsZero() || p.ring.Header(h.Key, key.AccessToken) != "" {
		return id.Key{}, false
	}
	return h.Key, true
}

func (p *project) readJWT(text string, kind Kind) (Credential, error) {
	typ := key.AccessToken
	if kind == RefreshToken {
		typ = key.RefreshToken
	}
	open := p.ring.Open
	if kind == RefreshToken && p.minted.has(text) {
		open = p.ring.OpenMinted
	}
	claims, _, err := open(text, typ)
	if err != nil {
		return Credential{}, err
	}
	// The signature is ours, so these are our own claims; no custom claim can have a
	// name that json.Unmarshal would take for one of them (claim.Reserved).
	var c struct {
		Session id.Session `json:"sid"`
		Token   id.Refresh `json:"rid"`
		Parent  id.Refresh `json:"prt"`
		Expires int64      `json:"exp"`
	}
	if err := json.Unmarshal(claims, &c); err != nil || c.Session.IsZero() || c.Token.IsZero() {
		return Credential{}, errUnreadable()
	}
	return Credential{
		Kind: kind, Session: c.Session, Token: c.Token, Parent: c.Parent,
		ExpiresAt: time.Unix(c.Expires, 0).UTC(), Claims: claims,
	}, nil
}

// The opaque form: "rt_" and base64url of
//
//	version 1 | sid 16 | rid 12 | prt 12 | MAC 16 | CRC-32 4
//
// 61 bytes are 82 characters with four spare bits, which must be zero. The MAC is
// HMAC-SHA256 under the project's key, cut to 128 bits; the checksum is not for
// security: it tells junk at the cost of nothing.
const (
	opaquePrefix  = "rt_"
	opaqueVersion = 1
	bodyLen       = 1 + 16 + 12 + 12
	opaqueLen     = bodyLen + 16 + 4
)

var opaqueText = base64.RawURLEncoding.Strict()

func (p *project) seal(body []byte) []byte {
	h := hmac.New(sha256.New, p.mac)
	h.Write([]byte(opaquePrefix))
	h.Write(p.ID[:]) // a token of one project is none of another's, even if keys were shared
	h.Write(body)
	return h.Sum(nil)[:16]
}

func (p *project) opaqueToken(row session.Row) secret.Text {
	b := make([]byte, 0, opaqueLen)
	b = append(b, opaqueVersion)
	b = append(b, row.ID[:]...)
	b = append(b, row.Newest[:]...)
	b = append(b, row.Parent[:]...)
	b = append(b, p.seal(b)...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return secret.New(opaquePrefix + opaqueText.EncodeToString(b))
}

func (p *project) readOpaque(text string) (Credential, error) {
	text = strings.TrimPrefix(text, opaquePrefix)
	if len(text) != opaqueText.EncodedLen(opaqueLen) || strings.ContainsAny(text, "\r\n") {
		return Credential{}, errUnreadable()
	}
	b, err := opaqueText.DecodeString(text)
	if err != nil || len(b) != opaqueLen || b[0] != opaqueVersion {
		return Credential{}, errUnreadable()
	}
	body, mac, sum := b[:bodyLen], b[bodyLen:bodyLen+16], b[bodyLen+16:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(b[:bodyLen+16]) || !hmac.Equal(mac, p.seal(body)) {
		return Credential{}, errUnreadable()
	}
	c := Credential{Kind: RefreshToken}
	copy(c.Session[:], body[1:])
	copy(c.Token[:], body[17:])
	copy(c.Parent[:], body[29:])
	if c.Session.IsZero() || c.Token.IsZero() {
		return Credential{}, errUnreadable()
	}
	return c, nil
}
