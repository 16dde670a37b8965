package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// patience is how long a test waits for what should happen in a moment. It is long,
// because the machine may be busy with something else.
const patience = 30 * time.Second

// process is a running server.
type process struct {
	world  *world
	name   string
	ready  ready
	url    string        // where it listens; its public URL may be another
	opened time.Duration // from its start to its ready file
	stdout string        // file
	log    string        // file: standard error

	cmd    *exec.Cmd
	file   string // its ready file
	begun  time.Time
	exited chan struct{}
}

// ready is what a ready file holds.
type ready struct {
	URL           string `json:"url"`
	Issuer        string `json:"issuer"`
	Project       string `json:"project"`
	ManagementKey string `json:"managementKey"`
	VerifyKey     string `json:"verifyKey"`
	User          string `json:"user"`
}

// start runs a server, waits until it serves, and stops it with the test if it still
// runs then.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	return w.startWith(nil, args...)
}

// startWith is start with more environment.
func (w *world) startWith(env []string, args ...string) *process {
	w.t.Helper()
	p := w.launch(env, args...)
	if err := p.awaitReady(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if !p.over() {
			p.stop()
		}
	})
	return p
}

// launch runs a server and doesn't wait.
func (w *world) launch(env []string, args ...string) *process {
	w.t.Helper()
	name := fmt.Sprintf("%s-%d", args[0], w.runs.Add(1))
	p := &process{world: w, name: name, file: w.path(name + ".ready"), stdout: w.path(name + ".out"), log: w.path(name + ".log"), exited: make(chan struct{})}
	p.cmd = exec.Command(binary, append(args, "--ready-file", p.file)...)
	p.cmd.Env = append(environment(), env...)
	out, err := os.Create(p.stdout)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	log, err := os.Create(p.log)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, log
	w.mu.Lock()
	w.logs = append(w.logs, p.log)
	w.mu.Unlock()
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // its error says no more than ProcessState
		close(p.exited)
	}()
	return p
}

// listening finds where a server listens, in its log.
var listening = regexp.MustCompile(`addr"?[=:]"?(127\.0\.0\.1:\d+)`)

// awaitReady waits until the server serves.
func (p *process) awaitReady() error {
	err := p.until("is ready", func() bool {
		content, err := os.ReadFile(p.file)
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		p.opened = time.Since(p.begun)
		p.world.keep(content)
		return err == nil && json.Unmarshal(content, &p.ready) == nil
	})
	if err != nil {
		return err
	}
	return p.until("says where it listens", func() bool {
		found := listening.FindStringSubmatch(p.logged())
		if found != nil {
			p.url = "http://" + found[1]
		}
		return found != nil
	})
}

// until polls for something that a running server does.
func (p *process) until(what string, done func() bool) error {
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		over := p.over()
		if done() {
			return nil
		}
		if over {
			return fmt.Errorf("%s ended with %v before it %s\n%s", p.name, p.cmd.ProcessState, what, p.tail())
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("%s runs for %v and it isn't true that it %s\n%s", p.name, time.Since(p.begun), what, p.tail())
		}
	}
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func (p *process) logged() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		p.world.t.Error(err)
	}
	return string(content)
}

// tail returns the end of the log, for a failure's message.
func (p *process) tail() string {
	lines := strings.SplitAfter(p.logged(), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

// kill ends the process as a power cut would: with SIGKILL, in the middle of anything.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// terminate asks the process to end.
func (p *process) terminate() {
	p.world.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.world.t.Fatal(err)
	}
}

// stop asks the process to end and fails the test unless it does so in order.
func (p *process) stop() {
	p.world.t.Helper()
	p.terminate()
	if code := p.wait(); code != 0 {
		p.world.t.Errorf("%s ends with status %d after SIGTERM\n%s", p.name, code, p.tail())
	}
}

// wait returns the exit status of a process that is about to end.
func (p *process) wait() int {
	p.world.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		// The runtime answers SIGQUIT with all stacks in the log.
		p.cmd.Process.Signal(syscall.SIGQUIT)
		<-p.exited
		p.world.t.Fatalf("%s doesn't end\n%s", p.name, p.logged())
	}
	return p.cmd.ProcessState.ExitCode()
}

// await polls until done, and fails the test when that takes too long.
func (w *world) await(what string, done func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

// awaitTime waits until a point in time has passed, and then a little more: the
// server's times have whole milliseconds.
func (w *world) awaitTime(at time.Time) {
	w.t.Helper()
	w.await("the time has come", func() bool { return time.Now().After(at.Add(5 * time.Millisecond)) })
}
