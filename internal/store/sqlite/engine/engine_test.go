package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func connect(t *testing.T) (*Conn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, path
}

func TestValuesComeBack(t *testing.T) {
	c, _ := connect(t)
	if err := c.Run("CREATE TABLE v (i INTEGER, t TEXT, b BLOB); PRAGMA journal_mode = WAL"); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("ü", 100_000)
	for _, want := range []struct {
		i int64
		t string
		b []byte
	}{{0, "", []byte{}}, {-1 << 63, "a\x00b", []byte{0}}, {1<<63 - 1, "\xff\xfe", []byte("blob")}, {1, big, []byte(big)}} {
		err := errors.Join(c.Query("DELETE FROM v").Exec(), c.Query("INSERT INTO v VALUES (?, ?, ?)").Int(want.i).Text(want.t).Blob(want.b).Exec())
		if err != nil || c.Changed() != 1 {
			t.Fatalf("%d rows: %v", c.Changed(), err)
		}
		q := c.Query("SELECT i, t, b, b, b FROM v WHERE t = ?").Text(want.t)
		if !q.Next() {
			t.Fatal(q.Close())
		}
		if q.IsNull() {
			t.Error("a number is NULL")
		}
		i, s, b := q.ReadInt(), q.ReadText(), q.ReadBlob()
		fixed := bytes.Repeat([]byte{7}, len(want.b))
		q.ReadInto(fixed)
		var seen []byte
		q.ReadWith(func(v []byte) error { seen = bytes.Clone(v); return nil })
		if q.Next() {
			t.Error("two rows")
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if i != want.i || s != want.t || b == nil || !bytes.Equal(b, want.b) || !bytes.Equal(fixed, want.b) || !bytes.Equal(seen, want.b) {
			t.Errorf("%.20q became %d %.20q %.20q %.20q %.20q", want.t, i, s, b, fixed, seen)
		}
	}
	if c.Written() != 7 {
		t.Errorf("%d rows written, want four in and three out again", c.Written())
	}
}

func TestNullIsNothing(t *testing.T) {
	c, _ := connect(t)
	q := c.Query("SELECT ?1, ?1, ?1, ?1").Null()
	if !q.Next() || !q.IsNull() {
		t.Fatal("not NULL")
	}
	fixed := []byte{1, 2}
	i, s, b := q.ReadInt(), q.ReadText(), q.ReadBlob()
	q.ReadInto(fixed)
	if err := q.Close(); err != nil || i != 0 || s != "" || b != nil || !bytes.Equal(fixed, []byte{0, 0}) {
		t.Errorf("%d %q %v %v: %v", i, s, b, fixed, err)
	}
}

func TestTheFirstErrorSticks(t *testing.T) {
	c, _ := connect(t)
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"prepare":       {c.Query("SELECT missing").Int(1).Text("x").Blob(nil).Null().Fail(mine).Exec(), "no such column"},
		"parameter":     {c.Query("SELECT ?").Int(1).Int(2).Int(3).Exec(), "range"},
		"given":         {c.Query("SELECT ?").Fail(mine).Int(1).Fail(errors.New("later")).Exec(), "mine"},
		"run":           {c.Run("SELECT 1; SELECT missing"), "no such column"},
		"step":          {c.Query("SELECT abs(-9223372036854775808)").Exec(), "integer overflow"},
		"again, better": {c.Query("SELECT ?").Int(1).Exec(), ""},
	} {
		if c.says == "" && c.err == nil {
			continue
		}
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, c.err, c.says)
		}
	}
	q := c.Query("SELECT ?").Blob([]byte("four"))
	q.Next()
	q.ReadInto(make([]byte, 5))
	if err := q.Close(); !errors.Is(err, errSize) {
		t.Errorf("error %v, want that of a wrong size", err)
	}
	q = c.Query("SELECT ?").Int(1)
	q.Next()
	q.ReadWith(func([]byte) error { return mine })
	if err := q.Close(); !errors.Is(err, mine) {
		t.Errorf("error %v, want that of the reader", err)
	}
}

func TestAStatementLeftOpenStartsAfresh(t *testing.T) {
	c, _ := connect(t)
	const sql = "SELECT 1 UNION ALL SELECT 2"
	for range 2 {
		q := c.Query(sql)
		if !q.Next() || q.ReadInt() != 1 { // and never closed
			t.Fatal("not the first row")
		}
	}
	if err := c.Query(sql).Close(); err != nil {
		t.Error(err)
	}
}

func TestUntil(t *testing.T) {
	c, _ := connect(t)
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		stop := c.Until(ctx)
		err := c.Query(endless).Exec()
		stop()
		cancel()
		var e *Error
		if !errors.As(err, &e) || !e.Interrupted() || e.Transient() {
			t.Fatalf("error %v, want an interruption", err)
		}
		if err := c.Query("SELECT 1").Exec(); err != nil {
			t.Fatalf("the next statement was hit: %v", err)
		}
	}
	c.Until(context.Background())()
}

func TestWhatErrorsMean(t *testing.T) {
	c, path := connect(t)
	if err := c.Run("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1); BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if !c.InTransaction() {
		t.Error("no transaction")
	}
	other, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var e *Error
	if err := other.Run("BEGIN IMMEDIATE"); !errors.As(err, &e) || !e.Busy() || !e.Transient() {
		t.Errorf("error %v, want busy", err)
	}
	if err := c.Run("INSERT INTO t VALUES (1)"); !errors.As(err, &e) || e.Transient() || e.Busy() || e.Damaged() {
		t.Errorf("error %v, want a constraint", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none", "x.db"), 0); !errors.As(err, &e) || !e.Transient() {
		t.Errorf("error %v, want that it can't be opened", err)
	}
	if _, err := Open(path+".none", 0); err == nil {
		t.Error("a missing file was made")
	}
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	bad, err := Open(garbage, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	if err := bad.Run("SELECT * FROM sqlite_schema"); !errors.As(err, &e) || !e.Damaged() || e.Transient() {
		t.Errorf("error %v, want damaged", err)
	}
}

func TestCloseTwice(t *testing.T) {
	c, _ := connect(t)
	if err := errors.Join(c.Query("SELECT 1").Exec(), c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}
