package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// TestScreen does what the first screen tells a new user to do, to the letter.
func TestScreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	temp := w.path("tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	p := w.startWith([]string{"TMPDIR=" + temp}, "dev", "--addr", "127.0.0.1:0")
	screen, err := os.ReadFile(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(screen), "\n"); lines > 40 {
		t.Errorf("the first screen has %d lines, which is more than a screen", lines)
	}
	checkScreen(t, w.paste(string(screen)))
	if folder := regexp.MustCompile(`session list --data (\S+) shows`).FindStringSubmatch(string(screen)); folder == nil || !strings.HasPrefix(folder[1], temp) {
		t.Errorf("the screen doesn't say how to look into the store: %v", folder)
	}
	for line := range strings.Lines(string(screen)) {
		url := regexp.MustCompile(`http://\S+`).FindString(line)
		if url == "" || strings.HasPrefix(line, "  ") {
			continue
		}
		path, ours := strings.CutPrefix(url, p.url)
		if a := p.ask(call{method: "GET", path: path}); !ours || a.status >= 400 {
			t.Errorf("the screen names %s, which answers %d", url, a.status)
		}
	}
	p.stop()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("dev leaves %v in its temporary folder, %v", left, err)
	}
}

// paste runs the commands on a screen in one shell, and returns what each step prints.
// What is indented is a command, and what isn't separates the steps.
func (w *world) paste(screen string) []string {
	w.t.Helper()
	const mark = "=== next step ==="
	var script strings.Builder
	inside := false
	for line := range strings.Lines(screen) {
		switch command, indented := strings.CutPrefix(line, "  "); {
		case indented:
			script.WriteString(command)
			inside = true
		case inside && strings.TrimSpace(line) != "":
			script.WriteString("echo; echo '" + mark + "'\n")
			inside = false
		}
	}
	cmd := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail")
	cmd.Dir, cmd.Stdin = w.t.TempDir(), strings.NewReader(script.String())
	out, err := cmd.CombinedOutput()
	w.keep(out)
	if err != nil {
		w.t.Fatalf("the commands of the first screen fail: %v\n%s", err, out)
	}
	var steps []string
	for step := range strings.SplitSeq(string(out), mark) {
		steps = append(steps, strings.TrimSpace(step))
	}
	return steps
}

// checkScreen checks what the steps print: nothing at first, then a sign-in, what the
// token stands for, a refresh, the trace, and what the next token says of the user.
func checkScreen(t *testing.T, steps []string) {
	t.Helper()
	if len(steps) < 6 || steps[0] != "" {
		t.Fatalf("the steps print %q, want nothing and then five answers", steps)
	}
	var signedIn, refreshed latchkey.TokenSet
	var own struct {
		Session   latchkey.Session
		TokenKind string
	}
	var trace latchkey.Trace
	var next struct {
		Claims struct {
			DCT     string
			Tenants map[string]struct{ Roles, Permissions []string }
		}
	}
	for i, into := range []any{&signedIn, &own, &refreshed, &trace, &next} {
		if err := json.Unmarshal([]byte(steps[i+1]), into); err != nil {
			t.Fatalf("step %d prints what isn't JSON: %v\n%s", i+1, err, steps[i+1])
		}
	}
	switch sid := signedIn.Session.ID; {
	case signedIn.SessionToken == "" || signedIn.RefreshToken == "":
		t.Errorf("the sign-in returns no tokens: %s", steps[1])
	case own.Session.ID != sid || own.TokenKind != "session":
		t.Errorf("the session token stands for %s", steps[2])
	case refreshed.Session.ID != sid || refreshed.RefreshToken != signedIn.RefreshToken:
		t.Errorf("a refresh within seconds of the sign-in doesn't return the same refresh token: %s", steps[3])
	case trace.Session.ID != sid || len(trace.Entries) < 2 || trace.Entries[0].Rule != "create" || trace.Entries[1].Rule != "replay":
		t.Errorf("the trace is %s", steps[4])
	}
	if in := next.Claims.Tenants[next.Claims.DCT]; len(in.Roles) != 1 || in.Roles[0] != "member" || len(in.Permissions) != 1 {
		t.Errorf("the next token says %s", steps[5])
	}
}
