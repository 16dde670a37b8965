//go:build unix

package latchkey

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type ownedBy struct {
	fs.FileInfo
	uid uint32
}

func (o ownedBy) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

// Whoever put the file there first, in a folder that everybody may write to, can write it
// for good and would say which keys are trusted.
func TestStateOfAnotherUser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	content := `{"version":1,"issuer":"` + ourIssuer + `","keys":""}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	us := uint32(os.Geteuid())
	for uid, want := range map[uint32]bool{us: true, 0: true, us + 1: false, us + 1000: false} {
		if got := ownFile(ownedBy{info, uid}); got != want {
			t.Errorf("a file of user %d, read by %d: trusted %t", uid, us, got)
		}
	}
	if _, err := readState(file); err != nil {
		t.Errorf("our own file: %v", err)
	}
	if err := os.Chown(file, 4711, 4711); err != nil {
		return // only root can give a file away
	}
	if _, err := readState(file); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("the file of another user: %v", err)
	}
}

// A pipe would hold up the start for as long as its maker likes.
func TestStateIsAPlainFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "state.json")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readState(pipe); err == nil {
		t.Error("a pipe was read")
	}
}
