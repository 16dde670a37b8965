package latchkey

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/bubbletest"
)

// stateVerifier returns a Verifier with a state file, and what it logs.
func stateVerifier(t *testing.T, file string, server *keyServer, f *testFeed) (*Verifier, *strings.Builder, error) {
	t.Helper()
	var log strings.Builder
	c := VerifierConfig{Issuer: ourIssuer, StateFile: file, Keys: server.keySet(t), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	v, err := c.withDefaults().verifier(f)
	return v, &log, err
}

// A process that starts while the server is down verifies, and knows what was revoked.
func TestStateOverRestart(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state.json")
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t)), tag: `"1"`}
		f := &testFeed{saved: []byte("what was revoked")}
		v, log, err := stateVerifier(t, file, server, f)
		if err != nil || log.Len() > 0 {
			t.Fatal(err, log)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Run(ctx) }()
		time.Sleep(stateInterval + time.Millisecond)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		server.set(func(s *keyServer) { s.err = errors.New("down") })
		f = &testFeed{}
		v, log, err = stateVerifier(t, file, server, f)
		if err != nil || log.Len() > 0 || string(f.restored) != "what was revoked" {
			t.Fatal(err, log, string(f.restored))
		}
		token := key.mint(t, map[string]any{"iat": time.Now().Unix(), "nbf": nil, "exp": time.Now().Add(48 * time.Hour).Unix()})
		time.Sleep(24 * time.Hour)
		for range 2 {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("during an outage: %v", err)
			}
			synctest.Wait()
		}
		if n := server.count(); n != 2 || server.last().Header.Get("If-None-Match") != `"1"` {
			t.Errorf("%d fetches, %v", n, server.last().Header)
		}
	})
}

// The file is written when something has changed, at most once a second, and at the end.
func TestStateIsWrittenWhenSomethingChanged(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state.json")
		key := newTokenSigner(t, algEdDSA, "k1")
		server := &keyServer{body: string(key.keySet(t))}
		f := &testFeed{saved: []byte("1")}
		v, _, err := stateVerifier(t, file, server, f)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Run(ctx) }()
		written := func() bool {
			_, err := os.Stat(file)
			_ = os.Remove(file) // a mark: whether it comes again
			return err == nil
		}
		time.Sleep(1500 * time.Millisecond)
		if !written() {
			t.Error("not written for the first keys")
		}
		time.Sleep(2 * time.Minute)
		if written() {
			t.Error("written although nothing has changed")
		}
		for range 50 {
			f.edits.Add(1)
		}
		time.Sleep(stateInterval)
		if !written() {
			t.Error("not written for a revocation")
		}
		server.publish(newTokenSigner(t, algEdDSA, "k2").keySet(t))
		v.keys.demand()
		time.Sleep(2 * stateInterval)
		if !written() {
			t.Error("not written for new keys")
		}
		cancel()
		<-done
		if !written() {
			t.Error("not written at the end")
		}
	})
}

func TestStateOfAnotherIssuer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"issuer":"https://auth.example.com/prj_2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, _, err := stateVerifier(t, file, &keyServer{}, &testFeed{}); err == nil || v != nil || !strings.Contains(err.Error(), "another issuer") {
		t.Errorf("%v", err)
	}
}

// What can't be read is logged and costs a fetch, no more.
func TestStateUnreadable(t *testing.T) {
	key := newTokenSigner(t, algEdDSA, "k1")
	head := `{"version":1,"issuer":"` + ourIssuer + `"`
	for what, c := range map[string]struct {
		content string
		mode    os.FileMode
		logged  string
	}{
		"empty": {"", 0o600, "ignored"}, "damaged": {head, 0o600, "ignored"}, "another version": {`{"version":2}`, 0o600, "ignored"}, "a page": {"<html>", 0o600, "ignored"},
		"others write": {head + "}", 0o622, "others than its owner"}, "the group writes": {head + "}", 0o620, "others than its owner"},
		"no keys": {head + `,"keys":"e30="}`, 0o600, "the keys of the state file"}, "no set": {head + `,"keys":"AAAA"}`, 0o600, "the keys of the state file"},
		"a damaged feed": {head + `,"feed":"ZGFtYWdlZA=="}`, 0o600, "the revocations of the state file"},
		"nothing in it":  {head + "}", 0o600, ""},
	} {
		file := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		v, log, err := stateVerifier(t, file, &keyServer{body: string(key.keySet(t))}, &testFeed{})
		if err != nil || (c.logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), c.logged) {
			t.Errorf("%s: %v, log %q", what, err, log)
			continue
		}
		if v.keys.ring.Load() != nil || !v.keys.has(t, "k1") {
			t.Errorf("%s: its keys were taken, or none are found afterwards", what)
		}
	}
	// A folder, which can't be read nor be written.
	v, log, err := stateVerifier(t, t.TempDir(), &keyServer{body: string(key.keySet(t))}, &testFeed{})
	if err != nil || !strings.Contains(log.String(), "ignored") || v.saveState() || strings.Contains(log.String(), "can't be written") {
		t.Errorf("without keys: %v, log %q", err, log)
	}
	if !v.keys.has(t, "k1") || v.saveState() || !strings.Contains(log.String(), "can't be written") {
		t.Errorf("%v, log %q", err, log)
	}
}

// A set of the future, as after a clock was set back, is as old as can be.
func TestStateFromTheFuture(t *testing.T) {
	key := newTokenSigner(t, algEdDSA, "k1")
	set := (&keyServer{}).keySet(t)
	if err := set.restore(key.keySet(t), "", time.Now().Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if at := time.Unix(0, set.staleAt.Load()); at.After(time.Now().Add(minKeyAge)) {
		t.Errorf("not renewed before %v", at)
	}
	if err := set.restore(key.keySet(t), "", time.Now()); err == nil {
		t.Error("keys that were fetched are replaced by those of a file")
	}
}

// No half-written file is left behind, whatever happens.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	for _, content := range []string{"one", "two and more", ""} {
		if err := replaceFile(file, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
	}
	blocked := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(blocked, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if err := replaceFile(filepath.Join(dir, "none", "state.json"), nil); err == nil {
		t.Error("a file in a folder that isn't there was written")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// A revoked key has the set fetched again, by way of the feed.
func TestFeedDemandsKeys(t *testing.T) {
	bubbletest.Run(t, func(t *testing.T) {
		old, next := newTokenSigner(t, algEdDSA, "old"), newTokenSigner(t, algEdDSA, "next")
		server := &keyServer{body: string(old.keySet(t))}
		f := &testFeed{}
		c := VerifierConfig{Issuer: ourIssuer, Keys: server.keySet(t), HTTPClient: &http.Client{Transport: server}}
		v := withFeed(t, c, f)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Run(ctx) }()
		time.Sleep(time.Minute)
		server.publish(next.keySet(t))
		f.key()
		synctest.Wait()
		if ring := v.keys.ring.Load(); ring.keys["old"] != nil || ring.keys["next"] == nil {
			t.Error("the set wasn't fetched again")
		}
		cancel()
		<-done
	})
}
