package claim

import (
	"regexp"
	"strings"
)

// minDigits is how many digits all that is found here has, at least: the six of a
// British number.
const minDigits = 6

// digitRules find numbers of people and cards. Where they have a check digit it is
// checked, where they have a shape it is demanded, and a number without either (nine
// digits may be a Social Security number, and usually are an order) is left alone unless
// its name says what it is.
var digitRules = []rule{
	// 14 to 19 digits in one piece, in fours, or 4-6-5 and 4-6-4 (ISO/IEC 7812-1).
	{kind: Card, pattern: regexp.MustCompile(`\b(?:\d{14,19}|\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}(?:[ -]\d{3})?|\d{4}[ -]\d{6}[ -]\d{4,5})\b`), means: isCard},

	// International (ITU-T E.164): "+", then 8 to 15 digits in whatever groups.
	{kind: Phone, needs: []string{"+"}, pattern: regexp.MustCompile(`\+[1-9](?:[ .()/-]{0,2}\d){7,}`), means: isInternational},
	// tel: addresses (RFC 3966).
	{kind: Phone, needs: []string{"tel:", "Tel:", "TEL:"}, pattern: regexp.MustCompile(`(?i)\btel:\+?\d(?:[ .()-]{0,2}\d){6,14}`), means: alone},
	// North American, written as such: area code and exchange don't begin with 0 or 1.
	{kind: Phone, needs: []string{"-", ".", ")"}, pattern: regexp.MustCompile(`(?:\([2-9]\d{2}\) ?|\b[2-9]\d{2}[.-])[2-9]\d{2}[.-]\d{4}\b`), means: alone},

	{kind: NationalID, needs: []string{"-", " "}, pattern: regexp.MustCompile(`\b\d{3}[ -]\d{2}[ -]\d{4}\b`), means: isSSN},
	{kind: NationalID, pattern: regexp.MustCompile(`\b[1-9]\d(?:\d{9}| \d{3} \d{3} \d{3})\b`), means: isSteuerID},
	{kind: NationalID, pattern: regexp.MustCompile(`\b(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]\b`), means: isDNI},
	{kind: NationalID, pattern: regexp.MustCompile(`\b[A-Za-z]{6}[0-9L-NP-V]{2}[A-Ea-eHLMPRSThlmprst][0-9L-NP-V]{2}[A-Za-z][0-9L-NP-V]{3}[A-Za-z]\b`), means: isCodiceFiscale},
	{kind: NationalID, pattern: regexp.MustCompile(`\b[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[23]\d|4[0-2]|[5-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b`), means: isNIR},
	{kind: NationalID, pattern: regexp.MustCompile(`\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?:\d{6}| \d{2} \d{2} \d{2} )[A-D]\b`), means: isNINO},
}

// inDigits returns the kinds of numbers in a text.
func inDigits(s string) []Sensitive {
	if n, _ := countDigits(s); n < minDigits {
		return nil
	}
	// To a pattern, "_" is part of a word: "card_4111…" would be none.
	s = strings.ReplaceAll(s, "_", ";")
	var kinds []Sensitive
	for _, r := range digitRules {
		if len(r.needs) == 0 {
			r.needs = []string{""}
		}
		if r.in(s) {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}

// inNumber returns what a JSON number is. Only card numbers can be told without their
// name: the others are shorter, and look like any number.
func inNumber(s string) []Sensitive {
	if strings.ContainsAny(s, ".eE-") || !isCard(s, 0, len(s)) {
		return nil
	}
	return []Sensitive{Card}
}

// alone reports whether s[from:to] isn't part of something longer: a UUID, a decimal, a
// longer number.
func alone(s string, from, to int) bool {
	joint := func(c byte) bool { return c == '-' || c == '.' || c == '+' || c == '/' }
	word := func(c byte) bool {
		return c >= 0x80 || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
	}
	before, after := s[:from], s[to:]
	if n := len(before); n > 0 && (word(before[n-1]) || n > 1 && joint(before[n-1]) && word(before[n-2])) {
		return false
	}
	return after == "" || !word(after[0]) && (len(after) == 1 || !joint(after[0]) || !word(after[1]))
}

// plain returns s[from:to] without what groups its characters.
func plain(s string, from, to int) string {
	return strings.ReplaceAll(strings.ReplaceAll(s[from:to], " ", ""), "-", "")
}

// networks are the prefixes of cards that are in use, and the lengths that go with them
// (issuer identification numbers of ISO/IEC 7812, as the networks publish them). Without
// them, one in ten of all numbers would pass for a card.
var networks = []struct {
	low, high string // prefixes, of the same length
	min, max  int    // digits of the whole
}{
	{"4", "4", 16, 16}, {"4", "4", 19, 19}, // Visa; those of 13 digits are gone, and look like phone numbers
	{"51", "55", 16, 16}, {"2221", "2720", 16, 16}, // Mastercard
	{"34", "34", 15, 15}, {"37", "37", 15, 15}, // American Express
	{"6011", "6011", 16, 19}, {"644", "659", 16, 19}, // Discover
	{"3528", "3589", 16, 19},                                           // JCB
	{"300", "305", 14, 14}, {"36", "36", 14, 14}, {"38", "39", 14, 16}, // Diners Club
	{"62", "62", 16, 19}, // UnionPay
}

func isCard(s string, from, to int) bool {
	n := plain(s, from, to)
	if len(n) < 14 || len(n) > 19 || !alone(s, from, to) || !luhn(n) {
		return false
	}
	for _, w := range networks {
		prefix := n[:len(w.low)]
		if w.min <= len(n) && len(n) <= w.max && w.low <= prefix && prefix <= w.high {
			return true
		}
	}
	return false
}

// luhn checks the last digit of n as ISO/IEC 7812-1, annex B says.
func luhn(n string) bool {
	sum := 0
	for i := range len(n) {
		d := int(n[len(n)-1-i] - '0')
		if i%2 == 1 {
			d = 2*d - 9*(d/5)
		}
		sum += d
	}
	return sum%10 == 0
}

func isInternational(s string, from, to int) bool {
	n, _ := countDigits(s[from:to])
	return n <= 15 && alone(s, from, to)
}

// isSSN: of the United States. No area 000, 666 or 9xx, no group 00, no serial 0000
// (Social Security Administration, POMS RM 10201.035).
func isSSN(s string, from, to int) bool {
	n := plain(s, from, to)
	return alone(s, from, to) && s[from+3] == s[from+6] &&
		n[:3] != "000" && n[:3] != "666" && n[0] != '9' && n[3:5] != "00" && n[5:] != "0000"
}

// isSteuerID: the German identification number (§ 139b AO). Of the first ten digits one
// comes twice or three times, but not three times in a row, and all others once at most;
// the eleventh is a check digit by ISO/IEC 7064, MOD 11,10.
func isSteuerID(s string, from, to int) bool {
	n := plain(s, from, to)
	var seen [10]int
	for i := range 10 {
		seen[n[i]-'0']++
		if i > 1 && n[i] == n[i-1] && n[i] == n[i-2] {
			return false
		}
	}
	repeated, product := 0, 10
	for _, times := range seen {
		if times > 3 {
			return false
		}
		if times > 1 {
			repeated++
		}
	}
	for i := range 10 {
		sum := (int(n[i]-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return repeated == 1 && (11-product)%10 == int(n[10]-'0') && alone(s, from, to)
}

// isDNI: of Spain, and the NIE of foreigners there, whose X, Y or Z counts as 0, 1 or 2.
// The letter is the number modulo 23 (Ministerio del Interior, "Cálculo del dígito de
// control del NIF/NIE"). Capitals only: "12345678c" begins a hexadecimal digest.
func isDNI(s string, from, to int) bool {
	n := plain(s, from, to)
	number := 0
	for i := range 8 {
		digit := int(n[i] - '0')
		if n[i] >= 'X' {
			digit = int(n[i] - 'X')
		}
		number = number*10 + digit
	}
	return n[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[number%23] && alone(s, from, to)
}

// odd are the values of the characters 0 to 9 and A to Z in odd places of an Italian code.
const odd = "\x01\x00\x05\x07\x09\x0d\x0f\x11\x13\x15" +
	"\x01\x00\x05\x07\x09\x0d\x0f\x11\x13\x15\x02\x04\x12\x14\x0b\x03\x06\x08\x0c\x0e\x10\x0a\x16\x19\x18\x17"

// isCodiceFiscale: of Italy. The last letter is a sum over the others modulo 26 (decreto
// ministeriale 23 dicembre 1976); a letter from L to V may stand for a digit.
func isCodiceFiscale(s string, from, to int) bool {
	n := strings.ToUpper(s[from:to])
	sum := 0
	for i := range 15 {
		c := int(n[i] - '0')
		even := c
		if n[i] >= 'A' {
			c = int(n[i]-'A') + 10
			even = c - 10
		}
		if i%2 == 0 { // the first place is odd
			sum += int(odd[c])
		} else {
			sum += even
		}
	}
	return n[15] == byte('A'+sum%26) && alone(s, from, to)
}

// isNIR: of France. The last two digits are 97 less the others modulo 97; in Corsican
// numbers 2A counts as 19 and 2B as 18 (décret n° 82-103 du 22 janvier 1982; INSEE).
func isNIR(s string, from, to int) bool {
	n := plain(s, from, to)
	n = n[:5] + strings.NewReplacer("2A", "19", "2B", "18").Replace(n[5:7]) + n[7:]
	number := 0
	for i := range 13 {
		number = number*10 + int(n[i]-'0')
	}
	return 97-number%97 == int(n[13]-'0')*10+int(n[14]-'0') && alone(s, from, to)
}

// isNINO: of the United Kingdom. It has no check digit; some letters and prefixes are
// never given (HMRC, NIM39110).
func isNINO(s string, from, to int) bool {
	switch s[from : from+2] {
	case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
		return false
	}
	return alone(s, from, to)
}
