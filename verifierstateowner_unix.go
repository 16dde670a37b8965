//go:build unix

package latchkey

import (
	"io/fs"
	"os"
	"syscall"
)

// ownFile reports whether a file belongs to this process's user, or to root, who can do
// anything anyway. Its owner can write it whatever its mode says.
func ownFile(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int64(s.Uid) == int64(os.Geteuid()))
}
