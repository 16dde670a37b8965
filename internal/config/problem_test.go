package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spf13/pflag"
)

// wantProblems demands exactly the problems that start with these texts, in this order.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		t.Errorf("got %v, want %q", err, want)
		return
	}
	matches := len(problems) == len(want)
	for i := 0; matches && i < len(want); i++ {
		matches = strings.HasPrefix(problems[i].Setting+" "+problems[i].Detail, want[i])
	}
	if !matches {
		t.Errorf("got %v\nwant %s", err, strings.Join(want, "\n     "))
	}
}

// One wrong thing, one problem, with the place where it was set.
func TestProblem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command command
		want    string
	}{
		{good().with("--addr", "8080"), `--addr is "8080", not a host and a port`},
		{good().with("--addr", "127.0.0.1:http"), "--addr is"},
		{good().with("--addr", "127.0.0.1:65536"), "--addr is"},
		{good().with("--addr", "127.0.0.1:-1"), "--addr is"},
		{good().with("--addr", "127.0.0.1:080"), "--addr is"},
		{good().with("--addr", "127.0.0.256:80"), "--addr is"},
		{good().with("--addr", "a b:80"), "--addr is"},
		{good().with("--addr", "-a:80"), "--addr is"},
		{good().with("--addr", strings.Repeat("a", 64)+":80"), "--addr is"},
		{good().with("--addr", strings.Repeat("a.", 127)+"a:80"), "--addr is"},
		{good().with("--addr", ""), "--addr is"},
		{good().env("LATCHKEY_ADDR=x"), `LATCHKEY_ADDR is "x"`},
		{good().toml(`addr = "x"`), `addr in latchkey.toml is "x"`},
		{good().toml(`addr = 8080`), `addr in latchkey.toml is "8080"`},

		{good().with("--addr", ":8080"), "--public-url is required"},
		{good().with("--addr", "0.0.0.0:8080"), "--public-url is required"},
		{good().with("--addr", "192.0.2.1:0"), "--public-url is required"},
		{good().with("--addr", "example.com:80"), "--public-url is required"},
		{good().with("--public-url", ""), "--public-url wants an absolute URL"},

		{good().with("--trusted-proxies", "10.0.0.0/8,x"), `--trusted-proxies is wrong: entry 2 is not an address`},
		{good().with("--trusted-proxies", "10.0.0.0/33"), `--trusted-proxies has "10.0.0.0/33": not an address`},
		{good().with("--trusted-proxies", "0.0.0.0/0"), `--trusted-proxies has "0.0.0.0/0": would trust everybody`},
		{good().with("--trusted-proxies", "10.0.0.1/8"), `--trusted-proxies has "10.0.0.1/8": bits are set`},
		{good().with("--trusted-proxies", strings.Repeat("1", 44)), "--trusted-proxies is wrong: entry 1"},
		{good().toml(`trusted-proxies = ["10.0.0.0/8", 1]`), "trusted-proxies in latchkey.toml wants a string or a list of strings"},
		{good().with("--webhook-networks", "10.0.0.0/8,x"), `--webhook-networks is wrong: entry 2 is not an address`},
		{good().with("--webhook-networks", "10.0.0.1/8"), `--webhook-networks is wrong: entry 1 is not an address`},
		{good().with("--webhook-networks", "::ffff:10.0.0.0/104"), `--webhook-networks is wrong: entry 1 is not an address`},
		{good().toml(`webhook-networks = ["10.0.0.0/33"]`), "webhook-networks in latchkey.toml is wrong: entry 1"},
		{good().toml(`trusted-proxies = true`), "trusted-proxies in latchkey.toml wants a string or a list of strings"},
		{good().toml(`addr = ["a", "b"]`), "addr in latchkey.toml wants a string or a whole number"},
		{good().toml(`keep-ended = 1.5`), "keep-ended in latchkey.toml wants a string or a whole number"},

		{good().with("--store", ""), "--store is empty"},
		{good().with("--store", "l.db"), "--store is no store that is known"},
		{good().with("--store", "mysql://x"), "--store is no store that is known"},
		{good().with("--store", "sqlite://l.db"), "--store wants three slashes"},
		{good().with("--store", "sqlite:///data/"), "--store names a folder"},
		{good().with("--store", "sqlite:///"), "--store names a folder"},
		{good().with("--store", "sqlite:///l.db?mode=ro"), "--store wants a path and nothing behind it"},

		{good().with("--network-limit", "-1"), `--network-limit is "-1"; it must be a whole number from 0 to 10000000`},
		{good().with("--feed-subscribers", "0"), `--feed-subscribers is "0"; it must be a whole number from 1 to 1000000`},
		{good().with("--feed-subscribers", "1000001"), "--feed-subscribers is"},
		{good().with("--network-limit", "10000001"), "--network-limit is"},
		{good().with("--network-limit", "off"), "--network-limit is"},
		{good().with("--keep-ended", "59m"), "--keep-ended is 59m; it must be 1h to 3650d"},
		{good().with("--keep-ended", "off"), "--keep-ended is off; it must be 1h to 3650d"},
		{good().with("--keep-events", "3651d"), "--keep-events is 3651d; it must be 1h to 3650d"},
		{good().with("--keep-events", "1 day"), `--keep-events is "1 day"; it must be a duration such as`},
		{good().with("--drain-timeout", "0s"), "--drain-timeout is off; it must be 1s to 10m"},
		{good().with("--drain-timeout", "11m"), "--drain-timeout is 11m; it must be 1s to 10m"},
		{good().with("--shutdown-delay", "6m"), "--shutdown-delay is 6m; it must be 0s to 5m"},
		{good().with("--log-format", "xml"), `--log-format is "xml"; it must be auto, text or json`},
		{good().with("--log-level", "INFO+1"), `--log-level is "INFO+1"; it must be debug, info, warn or error`},

		{good().with("--master-key-file", ""), "--master-key-file is empty"},
		{good().with("--master-key-file", "none"), "--master-key-file can't be opened: file does not exist"},
		{good().env("LATCHKEY_MASTER_KEY=" + otherKey), "LATCHKEY_MASTER_KEY is set together with --master-key-file"},

		{good().with("--config", ""), "--config can't be opened"},
		{good().with("--config", "none"), "--config can't be opened: file does not exist"},
		{good().env("LATCHKEY_CONFIG=none"), "LATCHKEY_CONFIG can't be opened"},
		{good().toml("addr = '127.0.0.1:1'", "addr = '127.0.0.1:1'"), "latchkey.toml is not valid TOML: see line 2"},
		{good().toml("a = ]", ""), "latchkey.toml is not valid TOML: see line 1"},
		{good().toml("[log]", "format = 'json'"), "log in latchkey.toml is not a setting"},
		{good().toml("public_url = 'x'"), "public_url in latchkey.toml is not a setting; did you mean public-url?"},
		{good().toml("config = 'x'"), "config in latchkey.toml can't be set in a file; LATCHKEY_CONFIG is for it"},
		{good().toml("master-key = '" + key + "'"), "master-key in latchkey.toml can't be set in a file; LATCHKEY_MASTER_KEY is for it"},
		{good().toml("masterkey = '" + key + "'"), "masterkey in latchkey.toml is not a setting"},
		{good().env("LATCHKEY_ADR=x"), "LATCHKEY_ADR is not a setting; did you mean LATCHKEY_ADDR?"},
		{good().env("LATCHKEY_MASTER_KEYS=x"), "LATCHKEY_MASTER_KEYS is not a setting; did you mean LATCHKEY_MASTER_KEY?"},
		{good().env("LATCHKEY_DATABASE=x"), "LATCHKEY_DATABASE is not a setting"},
	} {
		_, err := c.command.load(t)
		wantProblems(t, err, c.want)
	}
}

// Attack 40 in small: whatever is wrong, what was meant as a secret isn't shown.
func TestProblemsHoldNoSecret(t *testing.T) {
	t.Parallel()
	short := key[:40] // a key that lost its end
	mode := good()
	mode.files = fstest.MapFS{"master.key": {Data: []byte(key), Mode: 0o644}}
	inFile := good()
	inFile.files = fstest.MapFS{"master.key": {Data: []byte("# keys\n" + short), Mode: 0o600}}
	long := good()
	long.files = fstest.MapFS{"master.key": {Data: []byte(strings.Repeat(key+"\n", 2000)), Mode: 0o600}}
	asConfig := good().toml(short + "==")
	for name, c := range map[string]struct {
		command command
		want    string
	}{
		"world-readable":    {mode, "--master-key-file can be read or changed by every user of this machine (its mode is 0644)"},
		"damaged":           {inFile, "--master-key-file can't be used: line 2: a master key is 32 bytes"},
		"too long":          {long, "--master-key-file is too long"},
		"key as path":       {good().with("--master-key-file", key), "--master-key-file is a key itself"},
		"bad key as path":   {good().with("--master-key-file", short), "--master-key-file can't be opened: file does not exist"},
		"key as config":     {good().with("--config", short), "--config can't be opened"},
		"key file for toml": {asConfig, "latchkey.toml is not valid TOML: see line 1"},
		"key as value":      {good().toml("addr = " + short), "latchkey.toml is not valid TOML: see line 1"},
		"key as TOML key":   {good().toml(short + "aaaa = 1"), "a name that isn't shown in latchkey.toml is not a setting"},
		"key as variable":   {good().env("LATCHKEY_" + short + "=1"), "a name that isn't shown is not a setting"},
		"password in URL":   {good().with("--public-url", "https://root:"+short+"@id.example.com"), "--public-url must not hold a user name or password"},
		"broken URL":        {good().with("--public-url", "https://root:"+short+"@id.exam ple.com"), "--public-url wants"},
		"key as proxy":      {good().with("--trusted-proxies", short), "--trusted-proxies is wrong: entry 1"},
		"key as duration":   {good().with("--keep-ended", short), "--keep-ended is"},
		"key as address":    {good().with("--addr", short), "--addr is"},
		"key as number":     {good().with("--network-limit", short), "--network-limit is"},
		"password in store": {good().with("--store", "postgres://root:"+short+"@db/x"), "--store is no store"},
	} {
		_, err := c.command.load(t)
		wantProblems(t, err, c.want)
		for _, leak := range []string{short[:21], short[len(short)-12:]} {
			if err != nil && strings.Contains(err.Error(), leak) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	variable := command{args: []string{"--store", "sqlite:///l.db"}, environ: []string{"LATCHKEY_MASTER_KEY=" + short}}
	_, err := variable.load(t)
	wantProblems(t, err, "LATCHKEY_MASTER_KEY can't be used: line 1: a master key is 32 bytes")

	c := mustLoad(t, command{args: []string{"--store", "sqlite:///canary.db"}, environ: []string{"LATCHKEY_MASTER_KEY=" + key}})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if out := fmt.Sprintf(verb, c); strings.Contains(out, "canary") || strings.Contains(out, fmt.Sprintf("%x", "canary")) || strings.Contains(out, key[:12]) {
			t.Errorf("%s shows a secret: %s", verb, out)
		}
	}
}

// All that is wrong comes at once, in the order of the settings.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	c := command{args: []string{"--addr", "nowhere", "--log-level", "loud"}}
	c = c.toml(`keep-ended = "forever"`, `colour = "red"`).env("LATCHKEY_STORE=x", "LATCHKEY_NETWORK_LIMIT=lots", "LATCHKEY_LOGLEVEL=x")
	_, err := c.load(t)
	wantProblems(t, err,
		"LATCHKEY_LOGLEVEL is not a setting; did you mean LATCHKEY_LOG_LEVEL?",
		"colour in latchkey.toml is not a setting",
		`--addr is "nowhere"`,
		"LATCHKEY_STORE is no store",
		`LATCHKEY_NETWORK_LIMIT is "lots"`,
		`keep-ended in latchkey.toml is "forever"; it must be a duration`,
		`--log-level is "loud"`,
		"--master-key-file is required",
	)
	if lines := strings.Count(err.Error(), "\n"); lines != 8 {
		t.Errorf("%d lines:\n%v", lines, err)
	}
	_, err = command{args: []string{"--addr", ":80"}}.load(t)
	wantProblems(t, err, "--store is required", "--master-key-file is required", "--public-url is required")
	// What is missing may be in the file that can't be read.
	_, err = command{args: []string{"--config", "none", "--addr", "x"}}.load(t)
	wantProblems(t, err, "--config can't be opened", `--addr is "x"`)
}

// Kubernetes puts these into every container beside a Service called latchkey.
func TestVariablesOfAnOrchestrator(t *testing.T) {
	t.Parallel()
	mustLoad(t, good().env(
		"LATCHKEY_SERVICE_HOST=10.0.0.1", "LATCHKEY_SERVICE_PORT=8080", "LATCHKEY_SERVICE_PORT_HTTP=8080",
		"LATCHKEY_PORT=tcp://10.0.0.1:8080", "LATCHKEY_PORT_8080_TCP=tcp://10.0.0.1:8080", "LATCHKEY_PORT_8080_TCP_PROTO=tcp",
		"LATCHKEY_PORT_8080_TCP_PORT=8080", "LATCHKEY_PORT_8080_TCP_ADDR=10.0.0.1",
		"LATCHKEY_ADMIN_SERVICE_HOST=10.0.0.2", "LATCHKEY_ADMIN_PORT=tcp://10.0.0.2:80",
		"PATH=/bin", "=C:=C:\\", "latchkey_addr=x", "NOT_LATCHKEY_ADDR=x", "broken",
	))
	_, err := good().env("LATCHKEY_PORT=8080", "LATCHKEY_SERVICE=x", "LATCHKEY_PORT_8080=x").load(t)
	wantProblems(t, err, "LATCHKEY_PORT is not a setting", "LATCHKEY_SERVICE is not a setting", "LATCHKEY_PORT_8080 is not a setting")
}

// What applications read may be in the shell that starts the server, too.
func TestVariablesOfApplications(t *testing.T) {
	t.Parallel()
	mustLoad(t, good().env("LATCHKEY_ISSUER=http://localhost:8080/prj_1", "LATCHKEY_KEY=lk_verify_x", "LATCHKEY_COOKIE_KEYS=x"))
	_, err := good().env("LATCHKEY_KEYS=x").load(t)
	wantProblems(t, err, "LATCHKEY_KEYS is not a setting")
}

// brokenFile fails at one step.
type brokenFile struct {
	fs.File
	stat, read error
}

func (f brokenFile) Stat() (fs.FileInfo, error) {
	if f.stat != nil {
		return nil, f.stat
	}
	return f.File.Stat()
}

func (f brokenFile) Read(b []byte) (int, error) {
	if f.read != nil {
		return 0, f.read
	}
	return f.File.Read(b)
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	bad := &fs.PathError{Op: "read", Path: key, Err: errors.New("input/output error")}
	files := fstest.MapFS{"f": {Data: []byte("x")}, "d/f": {}}
	open := func(name string, stat, read error) Open {
		return func(string) (fs.File, error) {
			f, err := files.Open(name)
			return brokenFile{f, stat, read}, err
		}
	}
	for want, o := range map[string]Open{
		"--config can't be read: input/output error":         open("f", bad, nil),
		"--config can't be read: the system gives no reason": open("f", nil, io.ErrUnexpectedEOF),
		"--config is a directory, not a file":                open("d", nil, nil),
		"--config can't be opened: file does not exist":      open("none", nil, nil),
		"--config is too long":                               func(string) (fs.File, error) { f, err := files.Open("f"); return endless{f}, err },
		"f is not valid TOML: see line 1":                    open("f", nil, nil),
	} {
		set := pflag.NewFlagSet("test", pflag.ContinueOnError)
		Flags(set)
		if err := set.Parse([]string{"--config", "f"}); err != nil {
			t.Fatal(err)
		}
		_, err := Load(set, nil, o)
		wantProblems(t, err, want)
	}
}

// endless never comes to an end, like a device.
type endless struct{ fs.File }

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '\n'
	}
	return len(b), nil
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("addr = '127.0.0.1:1'\ntrusted-proxies = ['10.0.0.0/8']\n"))
	f.Add([]byte("[a]\nb.c = 1979-05-27\n[[d]]\n"))
	f.Add([]byte("store = \"" + key + "\"\nmaster-key = 1\n"))
	f.Add([]byte("keep-ended = \"" + strings.Repeat("0", 60) + "s\"\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		_, err := good().toml(string(content)).load(t)
		if err == nil {
			return
		}
		// No run of characters that is half as long as a key comes out. The quotes of
		// TOML and those of the problem may be a part of it.
		for _, word := range strings.Fields(string(content)) {
			const run = maxName + 3
			for from := 0; from+run <= len(word); from++ {
				if strings.Contains(err.Error(), word[from:from+run]) {
					t.Fatalf("%q comes out: %v", word[from:from+run], err)
				}
			}
		}
	})
}
