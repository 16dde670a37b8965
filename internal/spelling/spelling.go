// Package spelling owns the guess at what was meant by a name that isn't known. It doesn't
// know the names, and what is said of the guess is its callers' to say.
package spelling

// Nearest returns the name that is most like the given one, the first of several, and ""
// when none is like it: at most a third of its bytes may have to change.
func Nearest(given string, names ...string) string {
	best, least := "", max(1, len(given)/3)+1
	for _, name := range names {
		if d := distance(given, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of bytes to add, remove or replace to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
