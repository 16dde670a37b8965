package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

func TestWhen(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for want, at := range map[string]time.Time{
		"-":                    {},
		"2026-03-01 11:02:03Z": time.Date(2026, 3, 1, 12, 2, 3, 999e6, berlin),
		"1970-01-01 00:00:00Z": time.UnixMilli(0),
	} {
		if got := when(at); got != want {
			t.Errorf("%v is printed as %q, want %q", at, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	(&terminal{out: &out}).table("A | LONGER | C", [][]string{{"1", "2", "3"}, {"first", "-", ""}})
	if want := "A      LONGER  C\n1      2       3\nfirst  -       \n"; out.String() != want {
		t.Errorf("printed\n%q, want\n%q", out.String(), want)
	}
}

func TestShow(t *testing.T) {
	var out bytes.Buffer
	people := func() { out.WriteString("for people") }
	if err := (&terminal{out: &out}).show(1, people); err != nil || out.String() != "for people" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	if err := (&terminal{out: &out, json: true}).show(map[string]string{"a": "<&>"}, people); err != nil || out.String() != "{\n  \"a\": \"<&>\"\n}\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestFail(t *testing.T) {
	refusal := fault.New(fault.OutOfRange, "These are refused.").WithFields(
		fault.Field{Pointer: "/a", Detail: "too small"}, fault.Field{Pointer: "/b", Detail: "too large"})
	for _, c := range []struct {
		err         error
		people      string
		code        string
		terminal    bool
		alsoWrapped bool
	}{
		{errors.New("plain"), "latchkey: plain\n", "internal", false, false},
		{usagef("called wrongly"), "latchkey: called wrongly\n", "invalid_request", false, true},
		{refusal, "latchkey: These are refused.\n  /a: too small\n  /b: too large\n", "out_of_range", false, true},
		{fault.New(fault.SessionRevoked, "Over."), "latchkey: Over.\n", "session_revoked", true, true},
		{fault.Wrap(fault.Unavailable, errors.New("disk full"), "It can't be read."), "latchkey: It can't be read.\n  cause: disk full\n", "unavailable", false, true},
		{fault.New(fault.NotFound, ""), "latchkey: not found\n", "not_found", false, false},
	} {
		errs := []error{c.err}
		if c.alsoWrapped {
			errs = append(errs, fmt.Errorf("the store: %w", c.err))
		}
		for i, err := range errs {
			var out bytes.Buffer
			(&terminal{err: &out}).fail(err)
			if i == 0 && out.String() != c.people {
				t.Errorf("%v is told as %q, want %q", err, out.String(), c.people)
			}
			out.Reset()
			(&terminal{err: &out, json: true}).fail(err)
			var told map[string]any
			if err := json.Unmarshal(out.Bytes(), &told); err != nil || told["code"] != c.code || told["terminal"] != c.terminal || told["detail"] == "" {
				t.Errorf("%v is told as %s, %v", err, out.String(), err)
			}
		}
	}
}

// A log file or a pipe has no use for a hundred half lines.
func TestProgressIsForTerminals(t *testing.T) {
	var out bytes.Buffer
	p := (&terminal{err: &out}).progress()
	p.show("%d of %d", 1, 2)
	p.done()
	if out.Len() > 0 {
		t.Errorf("wrote %q", out.String())
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if interactive(file) || interactive(&out) {
		t.Error("a file passes for a terminal")
	}
}

func TestProgress(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{w: &out, on: true}
		step := func(want, format string, args ...any) {
			t.Helper()
			out.Reset()
			if p.show(format, args...); out.String() != want {
				t.Errorf("wrote %q, want %q", out.String(), want)
			}
		}
		step("\r99 of 100", "%d of %d", 99, 100)
		step("", "too soon")
		<-time.After(100 * time.Millisecond)
		step("\rshort    ", "short") // the rest of the longer line goes
		<-time.After(time.Second)
		step("\rlonger than before", "longer than before")
		out.Reset()
		if p.done(); out.String() != "\r"+strings.Repeat(" ", len("longer than before"))+"\r" {
			t.Errorf("the end writes %q", out.String())
		}
	})
}

func TestReadyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ready.json")
	if err := writeReady("", readyFile{}); err != nil {
		t.Errorf("no file is wanted: %v", err)
	}
	// Whoever could read the file of an earlier run must not read the keys of this one.
	if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	want := readyFile{URL: "http://x", Issuer: "i", Project: "p", ManagementKey: "m", VerifyKey: "v", User: "u"}
	if err := writeReady(path, want); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	var got readyFile
	if err := errors.Join(err, json.Unmarshal(text, &got)); err != nil || got != want {
		t.Errorf("%s, %v", text, err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if err := writeReady(filepath.Join(dir, "nowhere", "ready.json"), want); err == nil {
		t.Error("written into a folder that isn't there")
	}
	// A folder in the way: nothing is left behind.
	if err := os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeReady(filepath.Join(dir, "taken"), want); err == nil {
		t.Error("written over a folder")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
