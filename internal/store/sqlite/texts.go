package sqlite

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// textIndex finds rows by any part, of three letters or more, of what they are called. It
// is a table of SQLite's FTS5 that knows for each three letters in which documents they
// stand, and nothing else: that a text stands there as a whole, the row itself has to say.
//
// The number of a document comes from the identifier of the row, so that documents are
// found in the order of identifiers and a search can go on where the page before ended.
// Rows that agree in the bits that the number has room for, those of different projects
// too, share a document.
type textIndex struct {
	drop, add, find string
	rows            string                      // project and texts of the rows with ids from one to another
	ids             string                      // ids of all rows after one
	read            func(*engine.Stmt) []string // the texts
}

func userTexts() textIndex {
	return textIndex{
		drop: "DELETE FROM user_texts WHERE rowid = ?",
		add:  "INSERT INTO user_texts (rowid, text) VALUES (?, ?)",
		find: "SELECT rowid FROM user_texts WHERE user_texts MATCH ? AND rowid >= ? ORDER BY rowid",
		rows: "SELECT project, login_ids, name, email, phone FROM users WHERE id BETWEEN ? AND ? AND status <> 'deleted'",
		ids:  "SELECT id FROM users WHERE id > ? ORDER BY id LIMIT ?",
		read: func(q *engine.Stmt) []string { return append(readStrings(q), q.ReadText(), q.ReadText(), q.ReadText()) },
	}
}

func tenantTexts() textIndex {
	return textIndex{
		drop: "DELETE FROM tenant_texts WHERE rowid = ?",
		add:  "INSERT INTO tenant_texts (rowid, text) VALUES (?, ?)",
		find: "SELECT rowid FROM tenant_texts WHERE tenant_texts MATCH ? AND rowid >= ? ORDER BY rowid",
		rows: "SELECT project, name FROM tenants WHERE id BETWEEN ? AND ?",
		ids:  "SELECT id FROM tenants WHERE id > ? ORDER BY id LIMIT ?",
		read: func(q *engine.Stmt) []string { return []string{q.ReadText()} },
	}
}

// docOf returns the number of the document of a row: the first 63 bits of its id.
func docOf(v []byte) int64 { return int64(binary.BigEndian.Uint64(v) >> 1) }

// idsOf returns the first and the last identifier of a document.
func idsOf(doc int64) (first, last [16]byte) {
	binary.BigEndian.PutUint64(first[:], uint64(doc)<<1)
	last = [16]byte(bytes.Repeat([]byte{0xff}, 16))
	binary.BigEndian.PutUint64(last[:], uint64(doc)<<1|1)
	return first, last
}

const (
	// gramRunes is the length of what the index knows.
	gramRunes = 3

	// maxGrams is for how many of them a search asks at once. More find nothing out
	// that the rows don't.
	maxGrams = 24

	// privateUse are code points without a meaning. Three of them are the mark of a
	// project, so that a search of a small one isn't slowed by a large one.
	privateFirst, privateLast = 0xe000, 0xf8ff
)

// projectMark is what stands in each document with rows of the project.
func projectMark(n int64) string {
	const digits = privateLast - privateFirst + 1
	return string([]rune{rune(privateFirst + n/digits/digits%digits), rune(privateFirst + n/digits%digits), rune(privateFirst + n%digits)})
}

// plainText returns text as documents and searches have it: folded, without what is a
// mark or ends a text for SQLite.
func plainText(text string) string {
	return strings.Map(func(r rune) rune {
		if r == 0 || r >= privateFirst && r <= privateLast {
			return '\uFFFD'
		}
		return r
	}, directory.Fold(text))
}

// indexable reports whether the index can find a text: a shorter one stands nearly
// everywhere.
func indexable(text string) bool { return len([]rune(text)) >= gramRunes }

// grams returns the query for the documents of a project in which all three letters of a
// text stand, or of a long one some of all of its parts.
func grams(project int64, text string) string {
	letters := []rune(plainText(text))
	last := len(letters) - gramRunes
	step := last/maxGrams + 1
	var b strings.Builder
	gram := func(s string) { b.WriteString(` AND "` + strings.ReplaceAll(s, `"`, `""`) + `"`) }
	b.WriteString(`"` + projectMark(project) + `"`)
	for i := 0; i < last; i += step {
		gram(string(letters[i : i+gramRunes]))
	}
	gram(string(letters[last:]))
	return b.String()
}

// reindex writes a document anew.
func (x textIndex) reindex(c *engine.Conn, doc int64) error {
	if err := c.Query(x.drop).Int(doc).Exec(); err != nil {
		return err
	}
	first, last := idsOf(doc)
	var projects []int64
	var b strings.Builder
	q := c.Query(x.rows).Blob(first[:]).Blob(last[:])
	for q.Next() {
		if n := q.ReadInt(); !slices.Contains(projects, n) {
			projects = append(projects, n)
			b.WriteString(projectMark(n))
		}
		for _, text := range x.read(q) {
			b.WriteString("\n" + plainText(text))
		}
	}
	if err := q.Close(); err != nil || len(projects) == 0 {
		return err
	}
	return c.Query(x.add).Int(doc).Text(b.String()).Exec()
}

// reindexAll writes the documents of all rows, which has to be done once.
func (x textIndex) reindexAll(c *engine.Conn) error {
	after := make([]byte, 16)
	for done := int64(-1); ; {
		var documents []int64
		q := c.Query(x.ids).Blob(after).Int(loadStep)
		for q.Next() {
			q.ReadInto(after)
			documents = append(documents, docOf(after))
		}
		if err := q.Close(); err != nil || len(documents) == 0 {
			return err
		}
		for _, d := range slices.Compact(documents) {
			if d == done { // the last row of a step and the first one of the next may share one
				continue
			}
			if err := x.reindex(c, d); err != nil {
				return err
			}
			done = d
		}
	}
}

// documents calls visit for each document in which a text may stand, ascending from that
// of the id after, until visit says that it is enough.
func (x textIndex) documents(c *engine.Conn, project int64, text string, after []byte, visit func(doc int64) (more bool, err error)) error {
	q := c.Query(x.find).Text(grams(project, text)).Int(docOf(after))
	for q.Next() {
		more, err := visit(q.ReadInt())
		if err != nil {
			return q.Fail(err).Close()
		}
		if !more {
			break
		}
	}
	return q.Close()
}
