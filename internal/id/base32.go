package id

// Crockford's alphabet leaves out i, l, o and u, so an identifier read aloud or off
// a screenshot is read one way.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// textLen is the number of characters for 16 bytes: 26*5 bits is 130, so the first
// character carries 3 bits only and must be at most '7'. Anything else would be a
// second spelling of the same bytes.
const textLen = 26

func encode32(dst, src []byte) []byte {
	var acc uint64
	bits := uint(2) // two leading zero bits pad 128 to 130
	for _, c := range src {
		acc = acc<<8 | uint64(c)
		bits += 8
		for bits >= 5 {
			bits -= 5
			dst = append(dst, alphabet[acc>>bits&31])
		}
	}
	return dst
}

func decode32(dst []byte, s string) bool {
	if s[0] > '7' {
		return false
	}
	var acc uint64
	bits, n := uint(0), 0
	for i := range len(s) {
		d := digit(s[i])
		if d < 0 {
			return false
		}
		acc = acc<<5 | uint64(d)
		bits += 5
		if i == 0 {
			bits = 3
		}
		if bits >= 8 {
			bits -= 8
			dst[n] = byte(acc >> bits)
			n++
		}
	}
	return true
}

// digit maps a character to its value, or -1.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case c < 'a' || c > 'z' || c == 'i' || c == 'l' || c == 'o' || c == 'u':
		return -1
	}
	d := int(c-'a') + 10
	for _, skipped := range "ilou" {
		if c > byte(skipped) {
			d--
		}
	}
	return d
}
