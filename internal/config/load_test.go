package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/webhook"
	"github.com/spf13/pflag"
)

const (
	key      = "a25vY2sga25vY2ssIHdobydzIHRoZXJlPyBhIGtleS4=" // 32 bytes
	otherKey = "6f746865722d6f746865722d6f746865722d6f746865722d6f746865722d6f74"
)

// command is one call of the program: its flags, variables and files.
type command struct {
	args    []string
	environ []string
	files   fstest.MapFS
	flags   func(*pflag.FlagSet) // Flags when nil
}

func (c command) load(t testing.TB) (Config, error) {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	if c.flags == nil {
		c.flags = Flags
	}
	c.flags(set)
	if err := set.Parse(c.args); err != nil {
		t.Fatal(err)
	}
	return Load(set, c.environ, func(name string) (fs.File, error) { return c.files.Open(name) })
}

// good is the least that a server needs.
func good() command {
	return command{
		args:  []string{"--store", "sqlite:///data/l.db", "--master-key-file", "master.key"},
		files: fstest.MapFS{"master.key": {Data: []byte(key + "\n"), Mode: 0o600}},
	}
}

func (c command) with(args ...string) command {
	c.args = append(slices.Clone(c.args), args...)
	return c
}

func (c command) env(environ ...string) command {
	c.environ = environ
	return c
}

// toml adds a configuration file, and names it.
func (c command) toml(lines ...string) command {
	files := fstest.MapFS{"etc/latchkey.toml": {Data: []byte(strings.Join(lines, "\n")), Mode: 0o644}}
	for name, file := range c.files {
		files[name] = file
	}
	c.files = files
	return c.with("--config", "etc/latchkey.toml")
}

func mustLoad(t *testing.T, c command) Config {
	t.Helper()
	config, err := c.load(t)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, good())
	if c.Store.Reveal() != "sqlite:///data/l.db" || c.Master == nil {
		t.Errorf("store %q or master key is lost", c.Store.Reveal())
	}
	d := Defaults()
	if _, err := d.MasterRing(); !errors.Is(err, ErrNoMasterKey) {
		t.Errorf("got %v, want ErrNoMasterKey", err)
	}
	for _, c := range []Config{c, d} {
		want := Config{
			Addr: "127.0.0.1:8080", PublicURL: "http://127.0.0.1:8080", NetworkLimit: 6000, FeedSubscribers: 10_000,
			LogFormat: LogAuto, LogLevel: slog.LevelInfo,
			KeepEnded: 30 * 24 * time.Hour, KeepEvents: 90 * 24 * time.Hour, DrainTimeout: 20 * time.Second,
		}
		if got, want := print(c), print(want); got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	}
}

// print shows all but the store and the key, which differ between commands.
func print(c Config) string {
	c.Store, c.Master = secret.Text{}, nil
	return fmt.Sprintf("%+v", c)
}

// Every setting, said by a flag, a variable and the file, is the same setting.
func TestThreeWays(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"addr": "0.0.0.0:9000", "public-url": "https://id.example.com/auth", "trusted-proxies": "10.0.0.0/8, 192.0.2.7", "webhook-networks": "10.0.0.0/8, 192.0.2.7, fd00::/8",
		"store": "sqlite:///other.db", "master-key-file": "other.key", "network-limit": "0", "feed-subscribers": "7",
		"keep-ended": "1h", "keep-events": "3650d", "log-format": "json", "log-level": "debug",
		"ready-file": "/run/ready", "shutdown-delay": "5s", "drain-timeout": "1m30s",
	}
	base := command{files: fstest.MapFS{"other.key": {Data: []byte(otherKey), Mode: 0o400}}}
	flags, env, file := base, base, base
	var lines []string
	for _, s := range Settings() {
		v, ok := values[s.Name]
		if !ok {
			if s.File {
				t.Errorf("%s is not tried", s.Name)
			}
			continue
		}
		flags.args = append(flags.args, "--"+s.Name+"="+v)
		env.environ = append(env.environ, s.Env+"="+v)
		lines = append(lines, fmt.Sprintf("%s = %q", s.Name, v))
	}
	want := Config{
		Addr: "0.0.0.0:9000", PublicURL: "https://id.example.com/auth",
		WebhookNetworks: webhook.Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8")},
		FeedSubscribers: 7, LogFormat: LogJSON, LogLevel: slog.LevelDebug, KeepEnded: time.Hour, KeepEvents: 3650 * 24 * time.Hour,
		ReadyFile: "/run/ready", ShutdownDelay: 5 * time.Second, DrainTimeout: 90 * time.Second,
	}
	for name, c := range map[string]command{"flags": flags, "environment": env, "file": file.toml(lines...)} {
		got := mustLoad(t, c)
		if got.Store.Reveal() != values["store"] {
			t.Errorf("%s: store %q", name, got.Store.Reveal())
		}
		if _, err := got.MasterRing(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want.TrustedProxies = got.TrustedProxies
		if got, want := print(got), print(want); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
		if !trusts(got, "192.0.2.7") || !trusts(got, "10.1.2.3") || trusts(got, "192.0.2.8") {
			t.Errorf("%s: proxies %v", name, got.TrustedProxies)
		}
	}
}

// trusts reports whether a request from ip is taken for that of the client it names.
func trusts(c Config, ip string) bool {
	r := &http.Request{RemoteAddr: ip + ":1", Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}}
	return c.TrustedProxies.Client(r).IP == netip.MustParseAddr("198.51.100.1")
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	c := good().toml(`keep-ended = "2h"`, `keep-events = "2h"`, `drain-timeout = "2s"`, `network-limit = 2`)
	c = c.env("LATCHKEY_KEEP_ENDED=3h", "LATCHKEY_KEEP_EVENTS=3h", "LATCHKEY_DRAIN_TIMEOUT=", "LATCHKEY_LOG_LEVEL= warn ")
	c = c.with("--keep-ended", "4h")
	got := mustLoad(t, c)
	if got.KeepEnded != 4*time.Hour || got.KeepEvents != 3*time.Hour || got.DrainTimeout != 2*time.Second ||
		got.NetworkLimit != 2 || got.LogLevel != slog.LevelWarn || got.LogFormat != LogAuto {
		t.Errorf("%+v", got)
	}
	// The file itself can be named by a variable, and of two equal variables the first
	// counts, as for os.Getenv.
	named := good().env("LATCHKEY_CONFIG=b.toml", "LATCHKEY_CONFIG=none")
	named.files["b.toml"] = &fstest.MapFile{Data: []byte("trusted-proxies = ['10.0.0.0/8', '192.0.2.7']\nready-file = ''")}
	if got := mustLoad(t, named); !trusts(got, "192.0.2.7") || !trusts(got, "10.1.2.3") || trusts(got, "192.0.2.8") {
		t.Errorf("%v", got.TrustedProxies)
	}
}

func TestPublicURLDefault(t *testing.T) {
	t.Parallel()
	bound := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4321}
	for addr, want := range map[string]struct{ url, at string }{
		"127.0.0.1:80":    {"http://127.0.0.1:80", "http://127.0.0.1:80"},
		"[::1]:9000":      {"http://[::1]:9000", "http://[::1]:9000"},
		"localhost:9000":  {"http://localhost:9000", "http://localhost:9000"},
		"127.8.7.6:0":     {"", "http://127.8.7.6:4321"},
		"a.localhost:0":   {"", "http://a.localhost:4321"},
		"[::1]:0":         {"", "http://[::1]:4321"},
		"localhost:65535": {"http://localhost:65535", "http://localhost:65535"},
	} {
		c := mustLoad(t, good().with("--addr", addr))
		if got := c.URL(bound); c.PublicURL != want.url || got != want.at {
			t.Errorf("%s: %q and %q, want %q and %q", addr, c.PublicURL, got, want.url, want.at)
		}
	}
	if got := (Config{}).URL(bound); got != "http://127.0.0.1:4321" {
		t.Errorf("an empty configuration gives %q", got)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string // a part of the only warning; "" for none
	}{
		{nil, ""},
		{[]string{"--public-url", "http://app.localhost:3000"}, ""},
		{[]string{"--public-url", "http://id.example.com"}, "unencrypted"},
		{[]string{"--public-url", "https://id.example.com"}, "trusted proxy"},
		{[]string{"--public-url", "https://id.example.com", "--trusted-proxies", "10.0.0.0/8"}, ""},
		{[]string{"--public-url", "https://id.example.com", "--network-limit", "0"}, ""},
	} {
		got := mustLoad(t, good().with(c.args...)).Warnings
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
	}
}

// A command that opens the store by itself needs the store alone, and isn't bothered
// by settings of the server, right or wrong.
func TestStoreCommand(t *testing.T) {
	t.Parallel()
	c := command{flags: StoreFlags, args: []string{"--store", "sqlite:///l.db"}}
	c = c.toml(`addr = "nonsense"`, `keep-ended = true`).env("LATCHKEY_NETWORK_LIMIT=many")
	_, err := c.load(t)
	wantProblems(t, err, "keep-ended in latchkey.toml wants a string or a whole number")
	c = command{flags: StoreFlags, args: []string{"--store", "sqlite:///l.db"}}
	got := mustLoad(t, c.toml(`addr = "nonsense"`).env("LATCHKEY_NETWORK_LIMIT=many"))
	if got.Store.Reveal() != "sqlite:///l.db" || got.Master != nil || len(got.Warnings) != 0 {
		t.Errorf("%+v", got)
	}
	got = mustLoad(t, c.env("LATCHKEY_MASTER_KEY="+key))
	if _, err := got.MasterRing(); err != nil {
		t.Error(err)
	}
	_, err = command{flags: StoreFlags}.load(t)
	wantProblems(t, err, "--store is required")
	// A command without any of our flags has nothing to load.
	got = mustLoad(t, command{flags: func(fs *pflag.FlagSet) { addFlags(fs, func(s setting) bool { return s.Name == "store" }) },
		args: c.args, environ: []string{"LATCHKEY_MASTER_KEY=wrong"}})
	if got.Master != nil {
		t.Error("a master key is read by a command that wants none")
	}
}

// The real file system: modes count there.
func TestMasterKeyFileOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() error {
		set := pflag.NewFlagSet("test", pflag.ContinueOnError)
		Flags(set)
		if err := set.Parse([]string{"--store=sqlite:///l.db", "--master-key-file=" + path}); err != nil {
			t.Fatal(err)
		}
		_, err := Load(set, nil, OpenFile)
		return err
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	wantProblems(t, load(), "--master-key-file can be read or changed by every user of this machine (its mode is 0644); take that right away, as with chmod 600")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantProblems(t, load(), "--master-key-file can't be opened: no such file or directory")
}

func TestFlagsInHelp(t *testing.T) {
	t.Parallel()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(set)
	help := set.FlagUsages()
	for _, s := range Settings() {
		if strings.Contains(help, "--"+s.Name+" "+s.Kind) != s.Flag || strings.Contains(help, "["+s.Env+"]") != s.Flag {
			t.Errorf("%s is wrong in the help:\n%s", s.Name, help)
		}
		if s.Flag && s.Default != "" && !strings.Contains(help, "(default "+s.Default+")") {
			t.Errorf("the help doesn't say the default of %s", s.Name)
		}
	}
	if set.Lookup("master-key") != nil {
		t.Error("the master key can be given as a flag")
	}
}

func TestSettingsAreWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Settings() {
		if seen[s.Name] || s.Name == "" || s.Kind == "" || s.Group == "" || len(s.Help) < 10 || strings.HasSuffix(s.Help, ".") || strings.Contains(s.Help, "`") {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
		if len(s.Name) > maxName || len(s.Env) > maxName {
			t.Errorf("%s is too long to be shown in a problem", s.Name)
		}
	}
}
