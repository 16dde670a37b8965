package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoQuickstartPage does what docs/go-quickstart.md tells: it builds the program in a
// module of its own, and signs in, sees a silent refresh and a revocation.
func TestGoQuickstartPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blocks := shellBlocks(t, "go-quickstart.md")
	if len(blocks) != 6 || !strings.Contains(blocks[0], "latchkey dev") || !strings.Contains(blocks[1], "./examples/quickstart") {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	r := w.start("dev", "--addr", "127.0.0.1:0").ready
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.Replace(listener.Addr().String(), "127.0.0.1", "localhost", 1)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	clone, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(clone, w.path("latchkey")); err != nil {
		t.Fatal(err)
	}
	// The page's port may be taken on the machine that runs the tests. Nothing is fetched.
	build := strings.Replace(blocks[2], "&& cd app\n", "&& cd app\nsed -i s/localhost:8000/"+addr+"/ main.go\nexport GOPROXY=off GOFLAGS=\n", 1)
	if build == blocks[2] {
		t.Fatalf("the third commands are %q", blocks[2])
	}
	w.bash(build)
	w.runApp(w.path("app/app"), addr, "LATCHKEY_ISSUER="+r.Issuer, "LATCHKEY_KEY="+r.ManagementKey)

	script := "export ISSUER=" + r.Issuer + " API=" + r.URL + "/v1/projects/" + r.Project + " KEY=" + r.ManagementKey + "\n" +
		blocks[3] + "echo\n" + blocks[4] + "echo\n" + blocks[5]
	out := w.bash(strings.ReplaceAll(script, "localhost:8000", addr))
	for want, n := range map[string]int{
		"Hello, Alice.": 1, "Hello, Al.": 1, "Set-Cookie: DS=eyJ": 1, "Set-Cookie: DSR=eyJ": 1, "HTTP/1.1 200 OK": 1, `{"revoked":1}`: 1,
		"HTTP/1.1 401 Unauthorized": 1, `"code":"session_revoked"`: 1, "Set-Cookie: DS=; ": 1,
		"HTTP/1.1 303 See Other": 1, "Location: /sign-in?return_to=%2F": 1,
	} {
		if got := strings.Count(out, want); got != n {
			t.Errorf("the page's commands print %q %d times, want %d:\n%s", want, got, n, out)
		}
	}
}

// runApp runs a program of a page until the test ends, and waits until it serves.
func (w *world) runApp(program, addr string, env ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), program)
	cmd.Env = append(environment(), env...)
	log, err := os.Create(program + ".log")
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	w.mu.Lock()
	w.logs = append(w.logs, log.Name())
	w.mu.Unlock()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // its error says no more than that it was killed
	})
	w.await("the program serves", func() bool {
		res, err := http.Get("http://" + addr + "/sign-in")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// TestLocalhostPage does what docs/localhost.md tells: the doctor has nothing against
// localhost, and says what is wrong with calling another name of this machine.
func TestLocalhostPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blocks := shellBlocks(t, "localhost.md")
	if len(blocks) != 2 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	environment := "export ISSUER=" + w.start("dev", "--addr", "127.0.0.1:0").ready.Issuer + "\n"
	good := w.bash(environment + blocks[0])
	for _, want := range []string{"DS=…; Path=/; HttpOnly; SameSite=Strict", "without Secure, prefix"} {
		if !strings.Contains(good, want) {
			t.Errorf("the doctor doesn't say %q:\n%s", want, good)
		}
	}
	bad := w.bash(environment + "if " + blocks[1] + "then echo nothing is wrong; else echo status $?; fi")
	for _, want := range []string{"requests to 127.0.0.1 don't carry them", "status 1\n"} {
		if !strings.Contains(bad, want) {
			t.Errorf("the doctor doesn't say %q:\n%s", want, bad)
		}
	}
}
