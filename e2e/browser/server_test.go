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
	ready, logged := filepath.Join(w.t.TempDir(), "ready"), filepath.Join(w.t.TempDir(), "log")
	log, err := os.Create(logged)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(binary, "dev", "--addr", "127.0.0.1:0", "--ready-file", ready)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // its error says no more than ProcessState
		close(exited)
	}()
	w.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-exited
		if said, _ := os.ReadFile(logged); !cmd.ProcessState.Success() || w.t.Failed() {
			w.t.Logf("the server ended with %v; its log:\n%s", cmd.ProcessState, said)
		}
	})
	s := &server{}
	w.await("the server is ready", func() bool {
		select {
		case <-exited:
			w.t.Fatalf("the server ended with %v", cmd.ProcessState)
		default:
		}
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
