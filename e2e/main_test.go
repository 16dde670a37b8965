package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// version is what the linker stamps into the binary under test.
const version = "v0.0.0-e2e"

// binary is the path of the binary under test. TestMain sets it before any test runs.
var binary string

// raced reports whether the binary is built with the race detector, which makes it
// several times slower.
func raced() bool { return os.Getenv("LATCHKEY_RACE") != "" }

// long reports whether the heavy suites run in their long modes.
func long() bool { return os.Getenv("LATCHKEY_LONG") != "" }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "latchkey-e2e-")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	binary = filepath.Join(dir, "latchkey")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	args, cgo := []string{"build"}, "CGO_ENABLED=0"
	if raced() {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version="+version, "-o", binary, "../cmd/latchkey")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the binary doesn't build: %w\n%s", err, out)
	}
	return nil
}

// sources looks at every file that the binary may be made of. The go command keeps a
// result until a file changes that a test itself has looked at; neither what go build
// reads in a process of its own counts, nor what TestMain does before the tests run.
var sources = sync.OnceValue(func() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a file that is gone again is none that the binary is made of
		case err != nil:
			return err
		case d.IsDir():
			if slices.Contains([]string{".git", "node_modules", "bin"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		os.Stat(path)
		return nil
	})
})
