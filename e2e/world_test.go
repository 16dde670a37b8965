package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is what one test makes: a folder, processes, and everything secret that it has
// seen. When the test ends, no log of any process may hold a secret.
type world struct {
	t    *testing.T
	dir  string
	http *http.Client
	runs atomic.Int64 // processes so far, for the names of their files

	mu      sync.Mutex
	secrets map[string]bool // the parts of tokens and keys that grant access
	masters []string        // master keys
	logs    []string        // files that must not hold any
}

func newWorld(t *testing.T) *world {
	if err := sources(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), secrets: map[string]bool{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}
	w.http = &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// Cleanups run last in, first out: every process has ended when this one runs.
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		w.searchLogs()
	})
	return w
}

// path returns the path of a file in the world's folder.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write makes a file that only its owner may read.
func (w *world) write(name, content string) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// tokens matches every credential as it is handed out.
var tokens = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+|rt_[\w-]{40,}|lk_[a-z]+_[0-9a-z]{30,}`)

// keep remembers the credentials in text.
func (w *world) keep(text []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range tokens.FindAll(text, -1) {
		switch parts := strings.Split(string(token), "."); {
		case len(parts) == 3:
			// The header is no secret: all tokens of a project have the same.
			w.secrets[parts[1]], w.secrets[parts[2]] = true, true
		default:
			w.secrets[prefix.ReplaceAllString(parts[0], "")] = true
		}
	}
}

// prefix is the part of a credential that only says what it is.
var prefix = regexp.MustCompile(`^(rt|lk_[a-z]+)_`)

// keepWord remembers a secret of another shape, of 16 or more letters, digits, '-', '_'.
func (w *world) keepWord(word string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets[word] = true
}

// credentialish matches what looks like a credential or a good part of one, also one
// that no test has seen.
var credentialish = regexp.MustCompile(`eyJ[\w-]{16,}|\brt_[\w-]{12,}|\blk_[a-z]+_[0-9a-z]{8,}`)

var longWord = regexp.MustCompile(`[\w-]{16,}`)

// leak returns a description of the first secret in text, "" for none.
func (w *world) leak(text []byte) string {
	if found := credentialish.Find(text); found != nil {
		return fmt.Sprintf("something like a credential: %.24s…", found)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range w.masters {
		if bytes.Contains(text, []byte(key)) {
			return "a master key"
		}
	}
	for _, word := range longWord.FindAll(text, -1) {
		if w.secrets[string(word)] {
			return fmt.Sprintf("a secret: %.8s…", word)
		}
	}
	return ""
}

// broken matches what a process prints when it fails in a way that no test expects.
var broken = regexp.MustCompile(`panic|fatal error|DATA RACE|"level":"ERROR"|level=ERROR`)

func (w *world) searchLogs() {
	for _, name := range w.logs {
		content, err := os.ReadFile(name)
		if err != nil {
			w.t.Error(err)
			continue
		}
		for line := range bytes.Lines(content) {
			if what := w.leak(line); what != "" {
				w.t.Errorf("%s holds %s, in a line that starts with %.60q", filepath.Base(name), what, line)
			}
			if broken.Match(line) {
				w.t.Errorf("%s: %s", filepath.Base(name), line)
			}
		}
	}
}

// environment is the caller's without our own variables: those are settings, and a
// process refuses the ones that steer these tests.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "LATCHKEY_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// outcome is what a command did.
type outcome struct {
	code     int
	out, err string
}

// run runs a command of the binary to its end. What it prints must not hold a secret.
func (w *world) run(args ...string) outcome {
	w.t.Helper()
	return w.runWith(nil, "", args...)
}

// runWith is run with more environment and with standard input.
func (w *world) runWith(env []string, stdin string, args ...string) outcome {
	w.t.Helper()
	o := w.runSecret(env, stdin, args...)
	if what := w.leak([]byte(o.out)); what != "" {
		w.t.Errorf("latchkey %s prints %s", strings.Join(args, " "), what)
	}
	return o
}

// runSecret is runWith for commands that are there to print secrets, on standard output.
func (w *world) runSecret(env []string, stdin string, args ...string) outcome {
	w.t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(environment(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil && (cmd.ProcessState == nil || ctx.Err() != nil) {
		w.t.Fatalf("latchkey %s doesn't end by itself within %v: %v\n%s", strings.Join(args, " "), patience, err, errOut.String())
	}
	w.keep(out.Bytes())
	if what := w.leak(errOut.Bytes()); what != "" {
		w.t.Errorf("latchkey %s prints %s as an error", args[0], what)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// must fails the test unless the command did what it was asked.
func (o outcome) must(t *testing.T) outcome {
	t.Helper()
	if o.code != 0 || o.err != "" {
		t.Fatalf("exit status %d, standard error %q", o.code, o.err)
	}
	return o
}

// read reads the JSON that a command printed.
func (o outcome) read(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.must(t).out), into); err != nil {
		t.Fatalf("the output isn't the JSON that is wanted: %v\n%s", err, o.out)
	}
}
