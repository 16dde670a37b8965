package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// In the scripts, latchkey is this test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main})
}

// The scripts run the command as a user would. What they have beyond testscript's own
// commands:
//
//	exits CODE command args…       the command ends with this exit status
//	ready FILE                     waits for a ready file and takes what it has as $URL, $ADDR, $ISSUER, $PROJECT, $KEY, $VERIFY_KEY, $USER
//	api METHOD URL [BODY]          a request with $KEY, or $BEARER when it is set; its answer is stdout. With "!" it is to be refused
//	json FILE PATH PATTERN         the value at a path such as "keys.0.state" fits the pattern whole
//	take NAME FILE PATH            sets a variable to the value at a path
//	write FILE TEXT                makes a file of one line
//	shows FILE PATTERN             waits until what a command in the background has written to a file fits the pattern
//	sigterm                        asks everything in the background to end, as a service manager does
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "ready": ready, "api": api, "json": jsonValue, "take": take, "write": write, "shows": shows, "sigterm": sigterm,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("STORE", "sqlite://"+e.WorkDir+"/latchkey.db")
			// The race detector makes every process wait a second for races at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
	})
}

func arguments(ts *testscript.TestScript, neg, mayNegate bool, args []string, least, most int) {
	if neg && !mayNegate {
		ts.Fatalf("this command can't be negated")
	}
	if len(args) < least || len(args) > most {
		ts.Fatalf("%d arguments, want %d to %d", len(args), least, most)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, false, args, 2, 100)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	status := 0
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		status = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if status != want {
		ts.Fatalf("%q ends with exit status %d, want %d", args[1:], status, want)
	}
}

// startup is longer than any start takes, even on a machine that does much else.
const startup = 30 * time.Second

func ready(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, false, args, 1, 1)
	text := await(ts, args[0], func([]byte) bool { return true })
	var r readyFile
	ts.Check(json.Unmarshal(text, &r))
	for name, value := range map[string]string{
		"URL": r.URL, "ADDR": strings.TrimPrefix(r.URL, "http://"), "ISSUER": r.Issuer, "PROJECT": r.Project, "KEY": r.ManagementKey, "VERIFY_KEY": r.VerifyKey, "USER": r.User,
	} {
		if value != "" {
			ts.Setenv(name, value)
		}
	}
}

// await waits for a file that is as it should be, and returns what it has.
func await(ts *testscript.TestScript, file string, good func(text []byte) bool) []byte {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	enough := time.After(startup)
	for {
		text, err := os.ReadFile(ts.MkAbs(file))
		if err == nil && good(text) {
			return text
		}
		select {
		case <-look.C:
		case <-enough:
			ts.Fatalf("after %v %s isn't as it should be: %v\n%s", startup, file, err, text)
		}
	}
}

func shows(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, false, args, 2, 2)
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	await(ts, args[0], pattern.Match)
}

func api(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, true, args, 2, 3)
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(args[2])
	}
	r, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	bearer := ts.Getenv("BEARER")
	if bearer == "" {
		bearer = ts.Getenv("KEY")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	_, err = io.Copy(ts.Stdout(), answer.Body)
	ts.Check(err)
	if refused := answer.StatusCode >= http.StatusBadRequest; refused != neg {
		ts.Fatalf("%s answers %s", args[1], answer.Status)
	}
}

// at returns the value at a path of a JSON file: a string as it is, anything else as
// JSON.
func at(ts *testscript.TestScript, file, path string) string {
	var v any
	from := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(file))))
	from.UseNumber()
	if err := from.Decode(&v); err != nil {
		ts.Fatalf("%s isn't JSON: %v", file, err)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			inner, ok := in[step]
			if !ok {
				ts.Fatalf("%s has no %s", file, path)
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				ts.Fatalf("%s has no %s: there are %d", file, path, len(in))
			}
			v = in[i]
		default:
			ts.Fatalf("%s has no %s", file, path)
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	ts.Check(err)
	return string(b)
}

func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, true, args, 3, 3)
	pattern, err := regexp.Compile("^(?:" + args[2] + ")$")
	ts.Check(err)
	if value := at(ts, args[0], args[1]); pattern.MatchString(value) == neg {
		ts.Fatalf("%s of %s is %s", args[1], args[0], value)
	}
}

func take(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, false, args, 3, 3)
	ts.Setenv(args[0], at(ts, args[1], args[2]))
}

func write(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, false, args, 2, 2)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}

func sigterm(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, false, args, 0, 0)
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// command runs latchkey in this process.
func command(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(args, strings.NewReader(stdin), &out, &errOut)
	return status, out.String(), errOut.String()
}

// Every command has a line of help, --json, and flags with a sentence.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{
		{}, {"dev"}, {"serve"}, {"migrate"}, {"project"}, {"project", "create"}, {"project", "list"}, {"project", "settings"},
		{"key"}, {"key", "list"}, {"key", "rotate"}, {"key", "revoke"}, {"key", "master"}, {"key", "reseal"},
		{"session"}, {"session", "list"}, {"session", "show"}, {"session", "revoke"}, {"session", "trace"},
		{"event"}, {"event", "list"}, {"event", "tail"}, {"token"}, {"token", "decode"}, {"token", "verify"}, {"doctor"}, {"bench"}, {"bench", "refresh"}, {"bench", "lists"}, {"version"},
	} {
		status, out, errOut := command(t, "", append(args, "--help")...)
		if status != 0 || errOut != "" || !strings.Contains(out, "Usage:\n  latchkey") || !strings.Contains(out, "--json") {
			t.Errorf("%q: exit status %d, %s%s", args, status, errOut, out)
		}
		for line := range strings.Lines(out) {
			if flag := strings.Fields(line); len(flag) == 1 && strings.HasPrefix(flag[0], "--") {
				t.Errorf("%q: nothing is said of %s", args, flag[0])
			}
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nope"}, `latchkey has no command "nope"`},
		{[]string{"project", "nope"}, `latchkey project has no command "nope"`},
		{[]string{"--nope"}, "unknown flag: --nope"},
		{[]string{"key", "list", "--nope"}, "latchkey key list --help lists the flags"},
		{[]string{"version", "x"}, `takes no argument, but "x" was given`},
		{[]string{"dev", "x"}, "takes no argument"},
		{[]string{"project", "create"}, "wants one argument: the project's name"},
		{[]string{"project", "create", "a", "b"}, "wants one argument"},
		{[]string{"key", "revoke"}, "the key's id (kid)"},
		{[]string{"session", "show"}, "a session id (ses_…)"},
		{[]string{"event", "nope"}, `latchkey event has no command "nope"`},
		{[]string{"event", "tail", "x"}, "takes no argument"},
		{[]string{"token", "decode"}, "a token, or - for standard input"},
		{[]string{"doctor"}, "--issuer is wanted"},
		{[]string{"doctor", "--issuer", "x"}, "Issuer"},
		{[]string{"doctor", "--issuer", "https://a.example/prj_x", "--cookies-by", "me"}, "--cookies-by is app or issuer"},
		{[]string{"bench", "refresh", "--sessions", "many"}, `invalid argument "many"`},
		{[]string{"bench", "refresh", "--duration", "5"}, "not a duration such as"},
	} {
		for _, machine := range []bool{false, true} {
			args := c.args
			if machine {
				args = append([]string{"--json"}, args...)
			}
			status, out, errOut := command(t, "", args...)
			if status != 2 || out != "" {
				t.Errorf("%q: exit status %d, stdout %q", args, status, out)
			}
			if !machine {
				if !strings.HasPrefix(errOut, "latchkey: ") || !strings.Contains(errOut, c.want) || strings.Count(errOut, "\n") != 1 {
					t.Errorf("%q says %q, want a sentence with %q", args, errOut, c.want)
				}
				continue
			}
			var refusal struct {
				Code, Detail string
				Terminal     *bool
			}
			if err := json.Unmarshal([]byte(errOut), &refusal); err != nil {
				t.Errorf("%q: %v in %s", args, err, errOut)
			}
			if refusal.Code != "invalid_request" || !strings.Contains(refusal.Detail, c.want) || refusal.Terminal == nil || *refusal.Terminal {
				t.Errorf("%q says %s, want %q", args, errOut, c.want)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	if status, out, errOut := command(t, "", "version"); status != 0 || out != fmt.Sprintf("latchkey %s\n", version) || errOut != "" {
		t.Errorf("%d %q %q", status, out, errOut)
	}
	if status, out, _ := command(t, "", "version", "--json"); status != 0 || out != fmt.Sprintf("{\n  \"version\": %q\n}\n", version) {
		t.Errorf("%d %q", status, out)
	}
}
