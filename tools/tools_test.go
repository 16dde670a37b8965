// Package tools holds the development tools of the repository in a module of its own,
// and tries the scripts beside it: each runs in a made-up tree, with only made-up
// commands on its path.
package tools

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a tree with one of our scripts, and the commands that exist there.
type machine struct {
	t    *testing.T
	root string
	env  []string
}

// newMachine makes a machine whose commands are the given shell scripts, beside the
// few real ones that our scripts need. Each call of a made-up command is noted in the
// file calls.
func newMachine(t *testing.T, script string, commands map[string]string) machine {
	t.Helper()
	m := machine{t: t, root: t.TempDir()}
	content, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	m.write("tools/"+script, string(content))
	m.write("e2e/package.json", "{}")
	for name, body := range commands {
		m.write("path/"+name, "#!/bin/sh\necho "+name+" $* >>"+m.root+"/calls\n"+body+"\n")
	}
	for _, name := range []string{"awk", "cat", "chmod", "dirname", "env", "mkdir", "mktemp", "rm", "sh"} {
		found, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(found, filepath.Join(m.root, "path", name)); err != nil {
			t.Fatal(err)
		}
	}
	m.env = []string{"PATH=" + filepath.Join(m.root, "path"), "TMPDIR=" + t.TempDir(), "GO=go", "FUZZTIME=1s"}
	return m
}

func (m machine) write(name, content string) {
	m.t.Helper()
	full := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// run returns what the script printed, whether it succeeded, and the calls it made.
func (m machine) run(script string) (output string, ok bool, calls string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), filepath.Join(m.root, "path", "sh"), filepath.Join(m.root, "tools", script))
	cmd.Env = m.env
	printed, err := cmd.CombinedOutput()
	noted, _ := os.ReadFile(filepath.Join(m.root, "calls"))
	return string(printed), err == nil, string(noted)
}

// The made-up commands. What apt-get installs appears on the path.
const (
	goOnLinux = `case "$*" in "env GOOS") echo linux ;; "env CC") echo gcc -m64 ;; *) exit 9 ;; esac`
	goOnMac   = `case "$*" in "env GOOS") echo darwin ;; *) exit 9 ;; esac`
	aptGet    = `case "$1" in install)
		for p; do case $p in gcc|npm|chromium) cp=$p ;; nodejs) cp=node ;; *) continue ;; esac
			printf '#!/bin/sh\nmkdir -p node_modules/jose\n' >"${0%/*}/$cp"; chmod +x "${0%/*}/$cp"; done ;; esac`
	aptGetBroken = `echo no network; exit 100`
	npm          = `mkdir -p node_modules/jose`
	root         = `echo 0`
	user         = `echo 1000`
)

func TestDeps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		commands map[string]string
		ok       bool
		says     []string
		calls    []string
		spares   []string
	}{
		"all is there but jose": {
			commands: map[string]string{"go": goOnLinux, "gcc": "", "node": "", "chromium": "", "npm": npm, "apt-get": aptGet, "id": root},
			ok:       true,
			says:     []string{"running npm install in e2e/"},
			calls:    []string{"npm install --no-package-lock --no-audit --no-fund"},
			spares:   []string{"apt-get"},
		},
		"an empty machine, as root": {
			commands: map[string]string{"go": goOnLinux, "apt-get": aptGet, "id": root},
			ok:       true,
			says:     []string{"needs a C compiler, and gcc is not there: running apt-get install gcc", "need Node.js with npm: running apt-get install", "need Chromium"},
			calls:    []string{"apt-get update", "apt-get install -y --no-install-recommends gcc libc6-dev", "nodejs npm", "--no-install-recommends chromium"},
		},
		"no compiler, not root": {
			commands: map[string]string{"go": goOnLinux, "node": "", "npm": npm, "apt-get": aptGet, "id": user},
			says:     []string{"the race detector needs a C compiler", "apt-get install gcc", "as root"},
			spares:   []string{"apt-get", "npm"},
		},
		"no node and no apt-get": {
			commands: map[string]string{"go": goOnLinux, "gcc": "", "id": root},
			says:     []string{"the e2e tests need Node.js with npm", "Install it"},
		},
		"node without npm": {
			commands: map[string]string{"go": goOnLinux, "gcc": "", "node": "", "id": user},
			says:     []string{"the e2e tests need Node.js with npm"},
		},
		"no browser, not root": {
			commands: map[string]string{"go": goOnLinux, "gcc": "", "node": "", "npm": npm, "apt-get": aptGet, "id": user},
			says:     []string{"the browser tests need Chromium", "LATCHKEY_CHROMIUM", "apt-get install chromium"},
			spares:   []string{"apt-get", "npm"},
		},
		"another browser": {
			commands: map[string]string{"go": goOnLinux, "gcc": "", "node": "", "npm": npm, "google-chrome": ""},
			ok:       true,
		},
		"a Mac needs no compiler": {
			commands: map[string]string{"go": goOnMac, "node": "", "chromium": "", "npm": npm},
			ok:       true,
			calls:    []string{"npm install"},
		},
		"apt-get fails": {
			commands: map[string]string{"go": goOnLinux, "apt-get": aptGetBroken, "id": root},
			says:     []string{"no network", "deps: this command failed: apt-get update"},
		},
		"npm fails": {
			commands: map[string]string{"go": goOnLinux, "gcc": "", "node": "", "chromium": "", "npm": "echo no registry; exit 1"},
			says:     []string{"no registry", "deps: this command failed: npm install"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, ok, calls := newMachine(t, "deps.sh", c.commands).run("deps.sh")
			if ok != c.ok {
				t.Fatalf("succeeds: %v, want %v: %s", ok, c.ok, output)
			}
			for _, s := range c.says {
				if !strings.Contains(output, s) {
					t.Errorf("does not say %q: %s", s, output)
				}
			}
			for _, s := range c.calls {
				if !strings.Contains(calls, s) {
					t.Errorf("does not call %q: %s", s, calls)
				}
			}
			for _, s := range c.spares {
				if strings.Contains(calls, s) {
					t.Errorf("calls %s: %s", s, calls)
				}
			}
		})
	}
}

func TestDepsDoesNothingTwice(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "deps.sh", map[string]string{"go": goOnLinux, "gcc": "", "node": "", "chromium": "", "npm": npm})
	for range 2 {
		if output, ok, _ := m.run("deps.sh"); !ok {
			t.Fatal(output)
		}
	}
	if _, _, calls := m.run("deps.sh"); strings.Count(calls, "npm") != 1 {
		t.Errorf("npm ran more than once: %s", calls)
	}
}

// Somebody who names a browser wants that one and no other.
func TestDepsObeysTheNameOfABrowser(t *testing.T) {
	t.Parallel()
	for name, there := range map[string]bool{"my-browser": true, "gone": false} {
		m := newMachine(t, "deps.sh", map[string]string{"go": goOnLinux, "gcc": "", "node": "", "npm": npm, "my-browser": "", "apt-get": aptGet, "id": root})
		m.env = append(m.env, "LATCHKEY_CHROMIUM="+name)
		output, ok, calls := m.run("deps.sh")
		if ok != there || there == strings.Contains(output, "names gone, which is not there") || strings.Contains(calls, "apt-get") {
			t.Errorf("with %s succeeds: %v, want %v: %s %s", name, ok, there, output, calls)
		}
	}
}

// What go test -list prints: targets first, then their package.
const goWithTargets = `case "$2" in
	-list) echo FuzzA; echo FuzzB; echo "ok  	example/one	0.1s"; echo "?   	example/two	[no test files]"
		echo FuzzC; echo "ok  	example/three	0.1s"; echo "ok  	example/four	0.1s" ;;
	esac`

func TestFuzzRunsEveryTarget(t *testing.T) {
	t.Parallel()
	output, ok, calls := newMachine(t, "fuzz.sh", map[string]string{"go": goWithTargets}).run("fuzz.sh")
	if !ok {
		t.Fatal(output)
	}
	for _, want := range []string{
		"-fuzz ^FuzzA$ -fuzztime 1s -fuzzminimizetime 50x example/one\n",
		"-fuzz ^FuzzB$ -fuzztime 1s -fuzzminimizetime 50x example/one\n",
		"-fuzz ^FuzzC$ -fuzztime 1s -fuzzminimizetime 50x example/three\n",
	} {
		if strings.Count(calls, want) != 1 {
			t.Errorf("does not run %q once: %s", want, calls)
		}
	}
	if n := strings.Count(calls, "-fuzz "); n != 3 {
		t.Errorf("runs %d targets, want 3: %s", n, calls)
	}
}

func TestFuzzFails(t *testing.T) {
	t.Parallel()
	for name, goCommand := range map[string]string{
		"when a target fails":          goWithTargets + "\ncase \"$*\" in *FuzzB*) exit 1 ;; esac",
		"when a package doesn't build": goWithTargets + "\nexit 1",
		"when there is no target":      `echo "ok  	example/four	0.1s"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if output, ok, _ := newMachine(t, "fuzz.sh", map[string]string{"go": goCommand}).run("fuzz.sh"); ok {
				t.Errorf("succeeds: %s", output)
			}
		})
	}
}

// The linter must be what this module says, not what a machine happens to have.
func TestTheLinterIsATool(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{.Module.Version}}", "tool").CombinedOutput()
	if err != nil {
		t.Fatalf("go list tool: %v: %s", err, out)
	}
	if !strings.HasPrefix(string(out), "honnef.co/go/tools/cmd/staticcheck v") {
		t.Errorf("go list tool names %q, want staticcheck and its version", out)
	}
}
