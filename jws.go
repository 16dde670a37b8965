package latchkey

import (
	"encoding/base64"
	"strings"
)

const (
	// maxToken is the greatest length of a token in bytes; the server mints no longer one.
	maxToken = 16 << 10

	// maxHeader bounds the first segment. The server's are about 110 bytes; a longer one
	// is parsed before the signature is checked, for anybody.
	maxHeader = 1024

	maxKeyID = 256

	sessionTokenType = "at+jwt" // RFC 9068 section 2.1
)

// strictBase64 refuses padding and spare bits in the last digit. It skips line breaks
// like every decoder of encoding/base64; cutToken closes that.
var strictBase64 = base64.RawURLEncoding.Strict()

// jwsSegments are the parts of a compact JWS (RFC 7515 section 7.1), still encoded.
type jwsSegments struct {
	header, payload, signature string
	input                      string // what is signed: header, dot, payload
}

// cutToken splits a token. Everything is counted before anything is allocated: a text of a
// million dots costs no more than any other of its length.
func cutToken(token string) (jwsSegments, *TokenError) {
	if len(token) > maxToken {
		return jwsSegments{}, refuseToken(ReasonTooLarge, "")
	}
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first < 0 || last == first || strings.IndexByte(token[first+1:last], '.') >= 0 {
		return jwsSegments{}, refuseToken(ReasonMalformed, "three parts with dots between them are wanted")
	}
	if strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return jwsSegments{}, refuseToken(ReasonMalformed, "there is a line break")
	}
	return jwsSegments{token[:first], token[first+1 : last], token[last+1:], token[:last]}, nil
}

// joseHeader is what is believed of a JOSE header: nothing but which key and kind of token
// it claims.
type joseHeader struct {
	algorithm, keyID, typ string
}

// parseHeader reads the header of a token that nobody has checked yet.
func parseHeader(segment string) (joseHeader, *TokenError) {
	if len(segment) > maxHeader {
		return joseHeader{}, refuseToken(ReasonMalformed, "the header is too long")
	}
	var buf [maxHeader]byte
	text, err := strictBase64.AppendDecode(buf[:0], []byte(segment))
	if err != nil {
		return joseHeader{}, refuseToken(ReasonMalformed, "the header isn't base64url")
	}
	var h joseHeader
	var has [3]bool
	var names [8]string
	r := jsonReader{text: string(text)}
	o := jsonObject{jsonReader: &r, names: names[:0]}
	for name, more := o.member(); more; name, more = o.member() {
		switch name {
		case "alg":
			h.algorithm, has[0] = r.str(), true
		case "kid":
			h.keyID, has[1] = r.str(), true
		case "typ":
			h.typ, has[2] = r.str(), true
		case "crit", "b64", "zip", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256":
			return joseHeader{}, refuseToken(ReasonAlgorithm, "the header brings a key or an extension, which no session token does")
		default:
			// RFC 7515 section 4: other members are ignored.
			r.value()
		}
	}
	if r.end(); r.bad || !has[0] {
		return joseHeader{}, refuseToken(ReasonMalformed, "the header isn't one")
	}
	return h, nil
}

// fits checks what the verifier of session tokens wants of a header before it looks for
// the key.
func (h joseHeader) fits() *TokenError {
	if h.typ != sessionTokenType {
		return refuseToken(ReasonType, "typ must be at+jwt")
	}
	switch h.algorithm {
	case algES256, algEdDSA, algRS256:
	default:
		return refuseToken(ReasonAlgorithm, "ES256, EdDSA and RS256 are supported")
	}
	if h.keyID == "" || len(h.keyID) > maxKeyID {
		return refuseToken(ReasonMalformed, "the header names no key")
	}
	return nil
}
