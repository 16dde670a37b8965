package latchkey

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeLength returns how many bytes the escape at the start of s takes, 0 if it is none.
func escapeLength(s string) int {
	if len(s) < 2 {
		return 0
	}
	if s[1] == 'u' {
		if _, ok := hex4(s[2:]); ok {
			return 6
		}
		return 0
	}
	if strings.IndexByte(`"\/bfnrt`, s[1]) < 0 {
		return 0
	}
	return 2
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var v rune
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// unescape decodes a string whose escapes are all well formed. Half a surrogate pair is
// refused: parsers differ in what they make of it.
func unescape(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if s[i] != 'u' {
			b = append(b, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, s[i])])
			continue
		}
		c, _ := hex4(s[i+1:])
		i += 4
		if utf16.IsSurrogate(c) {
			low, ok := rune(0), false
			if strings.HasPrefix(s[i+1:], `\u`) {
				low, ok = hex4(s[i+3:])
			}
			if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
				return "", false
			}
			i += 6
		}
		b = utf8.AppendRune(b, c)
	}
	return string(b), true
}
