package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/internal/store"
)

const (
	ceilingLasts = 3 * time.Second
	startTimeout = 30 * time.Second
)

// process is a server under test.
type process struct {
	cmd   *exec.Cmd
	url   string
	ready time.Duration // from start to ready
	ended chan struct{}
	errs  *strings.Builder // to be read once it has ended
}

// start runs this binary with args and waits until it has written its ready file.
func (b *bench) start(ctx context.Context, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "ready.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p := &process{
		cmd:   exec.CommandContext(ctx, self, append(args, "--ready-file", file)...),
		ended: make(chan struct{}), errs: new(strings.Builder),
	}
	p.cmd.Stderr = p.errs
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait() // how it ended is told by what it printed
	}()
	p.url, err = p.await(file)
	p.ready = time.Since(begin)
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the server didn't start: %w\n%s", err, p.errs)
	}
	return p, nil
}

// await waits for the ready file, and no longer than the process lives.
func (p *process) await(file string) (url string, err error) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	enough := time.After(startTimeout)
	for {
		if text, err := os.ReadFile(file); err == nil {
			var r readyFile
			err = json.Unmarshal(text, &r)
			return r.URL, err
		}
		select {
		case <-look.C:
		case <-p.ended:
			return "", errors.New("it has ended")
		case <-enough:
			return "", fmt.Errorf("it isn't ready after %v", startTimeout)
		}
	}
}

func (p *process) stop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.cmd.Process.Kill() // Windows knows no SIGTERM
	}
	<-p.ended
}

// serve starts the real server on the store in dir.
func (b *bench) serve(ctx context.Context, dir string) (*process, error) {
	return b.start(ctx, "serve", "--addr", "127.0.0.1:0", "--store", dataStore(dir), "--master-key-file", dataMaster(b.dir),
		"--network-limit", "0", "--log-level", "warn")
}

// ceiling measures the server without a store.
func (b *bench) ceiling(ctx context.Context) (figures, error) {
	signatures := 2
	if b.plan.format == "opaque" {
		signatures = 1
	}
	p, err := b.start(ctx, "bench", "ceiling", "--signatures", strconv.Itoa(signatures))
	if err != nil {
		return figures{}, err
	}
	defer p.stop()
	tokens := append([]string(nil), b.tokens[:min(len(b.tokens), 1000)]...)
	return b.generate(ctx, "ceiling", p.url, "/refresh", tokens, min(ceilingLasts, b.plan.lasts))
}

// warmUpLasts bounds the warm-up.
const warmUpLasts = 5 * time.Minute

func (b *bench) generate(ctx context.Context, what, url, path string, tokens []string, lasts time.Duration) (figures, error) {
	return (&generator{
		addr: strings.TrimPrefix(url, "http://"), path: path, clients: b.plan.clients, lasts: lasts, tokens: tokens,
		once: what == warmUp,
		ticked: func(done int64, elapsed time.Duration) {
			b.show.show("%s: %d requests, %.0f a second, %.0f of %.0f s", what, done, float64(done)/elapsed.Seconds(), elapsed.Seconds(), lasts.Seconds())
		},
	}).run(ctx)
}

// warmUp presents each token once: the first refresh of a session after the server has
// started. From then on the server knows the tokens that it made itself, as it does
// when it has run for longer than a session token lives.
const warmUp = "first refresh of each session"

// refreshes measures the real server.
func (b *bench) refreshes(ctx context.Context, out *benchAnswer) error {
	empty, err := b.emptyRSS(ctx)
	if err != nil {
		return err
	}
	p, err := b.serve(ctx, b.dir)
	if err != nil {
		return err
	}
	defer p.stop()
	path := "/" + b.project.String() + "/session/refresh"
	if out.First, err = b.generate(ctx, warmUp, p.url, path, b.tokens, warmUpLasts); err != nil {
		p.stop()
		return fmt.Errorf("%w\n%s", err, p.errs)
	}
	pid := p.cmd.Process.Pid
	before := cpuTime(pid)
	if out.Refresh, err = b.generate(ctx, "refresh", p.url, path, b.tokens, b.plan.lasts); err != nil {
		p.stop()
		return fmt.Errorf("%w\n%s", err, p.errs)
	}
	out.ReadyMs = float64(p.ready) / float64(time.Millisecond)
	if after := cpuTime(pid); after > before {
		out.CPUPerRefresh = float64(after-before) / float64(time.Millisecond) / float64(out.Refresh.Requests)
		out.EmptyRSS, out.RSS = empty, resident(pid)
	}
	return nil
}

// emptyRSS is the memory of a server whose store is empty.
func (b *bench) emptyRSS(ctx context.Context) (float64, error) {
	dir := filepath.Join(b.dir, "empty")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	if _, _, err := store.Migrate(ctx, dataStore(dir), func(string) {}); err != nil {
		return 0, err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	return resident(p.cmd.Process.Pid), nil
}

// cpuTime is what a process has used of the cores, zero where /proc doesn't tell.
func cpuTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold spaces; utime and stime are the 12th and 13th
	// fields behind it, in hundredths of a second.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the memory of a process in MiB, zero where /proc doesn't tell.
func resident(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024
		}
	}
	return 0
}
