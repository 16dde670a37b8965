package browser

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// server is a running latchkey dev with its demo project.
type server struct {
	URL           string `json:"url"`
	Issuer        string `json:"issuer"`
	Project       string `json:"project"`
	ManagementKey string `json:"managementKey"`
	VerifyKey     string `json:"verifyKey"`
}

// server starts latchkey dev as a process of its own, and stops it with the test.
func (w *world) server() *server {
	w.t.Helper()
	ready := filepath.Join(w.t.TempDir(), "ready")
	p := w.start(nil, binary, "dev", "--addr", "127.0.0.1:0", "--ready-file", ready)
	s := &server{}
	p.await("is ready", func() bool {
		content, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if err == nil {
			err = json.Unmarshal(content, s)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return true
	})
	return s
}

// process is a program that runs until the test ends.
type process struct {
	w      *world
	cmd    *exec.Cmd
	log    string // file of its standard error
	exited chan struct{}
}

// start starts a program with more environment. It is asked to end with the test, and has
// to do so in order.
func (w *world) start(env []string, command string, args ...string) *process {
	w.t.Helper()
	p := &process{w: w, cmd: exec.Command(command, args...), log: filepath.Join(w.t.TempDir(), "log"), exited: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), env...), log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // its error says no more than ProcessState
		close(p.exited)
	}()
	w.t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.exited
		if !p.cmd.ProcessState.Success() {
			w.t.Errorf("%s ended with %v", command, p.cmd.ProcessState)
		}
		if w.t.Failed() {
			w.t.Logf("the log of %s:\n%s", command, p.said())
		}
	})
	return p
}

func (p *process) said() string {
	said, err := os.ReadFile(p.log)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return string(said)
}

// await waits for what a running program does.
func (p *process) await(what string, done func() bool) {
	p.w.t.Helper()
	p.w.await(p.cmd.Path+" "+what, func() bool {
		select {
		case <-p.exited:
			p.w.t.Fatalf("%s ended with %v before it %s", p.cmd.Path, p.cmd.ProcessState, what)
		default:
		}
		return done()
	})
}

// TestReferencePage: the API's page works under its own content security policy. A
// browser reports what the policy stops, and scripts that fail, in its console.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	b := w.profile().tab()
	complaints := b.console()
	if answer := b.open(s.URL + "/docs"); answer.Status != 200 {
		t.Fatalf("the page answers %d", answer.Status)
	}
	if styled := result[bool](b, `() => document.styleSheets.length > 0 && [...document.styleSheets].every(s => s.cssRules.length > 0)`); !styled {
		t.Error("the page has no style")
	}
	if said := complaints(); len(said) > 0 {
		t.Errorf("the browser complains: %q", said)
	}
}
