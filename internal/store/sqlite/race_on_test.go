//go:build race

package sqlite

// slow is set when the race detector makes everything ten times slower.
const slow = true
