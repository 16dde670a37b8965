package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// background is a page's command that goes on until it is interrupted.
type background struct {
	world *world
	cmd   *exec.Cmd
	mu    sync.Mutex
	out   bytes.Buffer
}

// Write keeps what the command prints.
func (b *background) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(text)
}

func (b *background) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// behind starts a command of a page, which bash has made ready.
func (w *world) behind(script string) *background {
	w.t.Helper()
	b := &background{world: w, cmd: exec.Command("bash", "-c", script)}
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = w.dir, b, b
	b.cmd.Env = append(environment(), "PATH="+w.path("bin")+":"+os.Getenv("PATH"))
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.interrupt() })
	return b
}

// interrupt is Ctrl-C. It returns the exit status.
func (b *background) interrupt() int {
	if b.cmd.ProcessState == nil {
		syscall.Kill(-b.cmd.Process.Pid, syscall.SIGINT)
		b.cmd.Wait() // its error says no more than ProcessState
		b.world.keep([]byte(b.text()))
	}
	return b.cmd.ProcessState.ExitCode()
}

// TestEventsPage does what docs/events.md tells: events are listed, and followed while they
// happen, at the terminal and over HTTP.
func TestEventsPage(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	blocks := shellBlocks(t, "events.md")
	if len(blocks) != 3 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	for n := range blocks {
		blocks[n] = strings.ReplaceAll(blocks[n], "sqlite:///var/lib/latchkey/latchkey.db", i.store)
	}
	alice := p.signIn(i.in, "alice@example.com")
	listed := i.bash(blocks[0])
	people, machines, _ := strings.Cut(listed, "\n{")
	if !strings.HasPrefix(people, "TIME") || !strings.Contains(people, alice.Session.User+"  "+alice.Session.ID) || !strings.Contains(people, "session.created") {
		t.Errorf("for people it lists\n%s", people)
	}
	var types []string
	for line := range strings.Lines("{" + machines) {
		var e latchkey.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Actor != "cli" {
			t.Errorf("for machines it lists %s (%v)", line, err)
		}
		types = append(types, e.Type)
	}
	if !slices.Equal(types, []string{"management_key.created", "management_key.created"}) {
		t.Errorf("for machines it lists events of the types %v", types)
	}

	tail := i.behind(blocks[1])
	stream := i.behind("export API=" + p.url + "/v1/projects/" + i.in.ID + " KEY=" + i.in.ManagementKey + "\n" + blocks[2])
	i.eventually("both follow", func() bool {
		return strings.Contains(tail.text(), alice.Session.ID) && strings.Contains(stream.text(), "event: live\n")
	})
	bob := p.signIn(i.in, "bob@example.com")
	took := i.eventually("both tell what has just happened", func() bool {
		return strings.Contains(tail.text(), bob.Session.ID) && strings.Contains(stream.text(), bob.Session.ID)
	})
	t.Logf("an event was shown after %v", took)
	i.command("session", "revoke", bob.Session.ID).must(t)
	i.eventually("both tell what another process does", func() bool {
		return strings.Contains(tail.text(), "session.ended              actor=cli user="+bob.Session.User+" session="+bob.Session.ID) &&
			strings.Contains(stream.text(), `"type":"session.ended","actor":"cli"`)
	})
	if lines := strings.Count(tail.text(), "\n"); lines != 3 {
		t.Errorf("the tail has %d lines, want three:\n%s", lines, tail.text())
	}
	if status := tail.interrupt(); status != 0 {
		t.Errorf("interrupted, the tail ends with exit status %d:\n%s", status, tail.text())
	}
	if strings.Contains(stream.text(), alice.Session.ID) {
		t.Errorf("the stream, which starts now, tells what was before:\n%s", stream.text())
	}
}
