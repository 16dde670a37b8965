package sqlite

import (
	"slices"
	"strings"
	"testing"
)

// TestNothingOfAProjectIsForgotten fails when there is a table that nobody has thought of:
// a deleted project would leave its rows in it for ever.
func TestNothingOfAProjectIsForgotten(t *testing.T) {
	removed := []string{"projects", "signing_keys"} // at the end of erase
	for _, b := range belonging() {
		if slices.Contains(removed, b.table) {
			t.Errorf("the table %s is there twice", b.table)
		}
		removed = append(removed, b.table)
	}
	// The feed's rows are what erase waits for.
	ofNobody := []string{"schema_version", "sqlite_sequence", "revocations", "leases"}
	s, _ := fresh(t, Options{})
	// The indexes of texts have tables of their own, and lose what their rows lose.
	q := s.queue.conn.Query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '*_texts*' ORDER BY name")
	var tables []string
	for q.Next() {
		tables = append(tables, q.ReadText())
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if !slices.Contains(removed, table) && !slices.Contains(ofNobody, table) {
			t.Errorf("the table %s isn't in belonging(): a deleted project leaves its rows there", table)
		}
	}
	if len(tables) != len(removed)+len(ofNobody) {
		t.Errorf("%v are removed from, of %v", removed, tables)
	}
}

// TestRemovalFindsItsRows fails when removing some rows of a project walks through those
// of all others.
func TestRemovalFindsItsRows(t *testing.T) {
	s, _ := fresh(t, Options{})
	for _, b := range belonging() {
		q := s.queue.conn.Query("EXPLAIN QUERY PLAN " + b.removal())
		for q.Next() {
			for range 3 {
				q.Skip()
			}
			if step := q.ReadText(); strings.HasPrefix(step, "SCAN ") || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", b.table, step)
			}
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
