package browser

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

// root is where the product's module starts, seen from the folder that these tests run
// in.
const root = "../.."

// What TestMain finds or builds before any test runs.
var (
	chromium string // the browser's command
	binary   string // latchkey, the command
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "latchkey-browser-")
	if err == nil {
		binary, err = build(dir, "./cmd/latchkey")
	}
	if err == nil {
		chromium, err = findBrowser()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a command of the product.
func build(dir, command string) (string, error) {
	path := filepath.Join(dir, filepath.Base(command))
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, command)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s doesn't build: %w\n%s", command, err, out)
	}
	return path, nil
}

// findBrowser looks for the same commands as tools/deps.sh does.
func findBrowser() (string, error) {
	if named := os.Getenv("LATCHKEY_CHROMIUM"); named != "" {
		return exec.LookPath(named)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", errors.New("no Chromium: run make deps, or name one in LATCHKEY_CHROMIUM")
}

// sources looks at every file that the binaries may be made of. The go command keeps a
// result until a file changes that a test itself has looked at; what go build reads in a
// process of its own doesn't count.
var sources = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a file that is gone again is none that a binary is made of
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
