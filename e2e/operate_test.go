package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// says fails the test unless a command was refused with a status and with all words, in
// few lines, without a stack.
func (o outcome) says(t *testing.T, code int, words ...string) {
	t.Helper()
	if o.code != code || o.out != "" {
		t.Errorf("exit status %d, standard output %q, want %d and nothing", o.code, o.out, code)
	}
	for _, word := range words {
		if !strings.Contains(o.err, word) {
			t.Errorf("the error doesn't say %q:\n%s", word, o.err)
		}
	}
	if !strings.HasPrefix(o.err, "latchkey: ") || strings.Contains(o.err, "goroutine") || strings.Contains(o.err, "Usage:") {
		t.Errorf("the error isn't a sentence:\n%s", o.err)
	}
}

// TestWrongConfiguration starts servers that can't start. All that is wrong is said at
// once.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("serve", "--addr", "nonsense", "--store", "mysql://x", "--log-level", "loud", "--drain-timeout", "1y", "--public-url", "example.com/").
		says(t, 2, "--addr", "--store", "--log-level", "--drain-timeout", "--public-url", "--master-key-file is required")
	w.run("serve", "--colour").says(t, 2, "--colour", "latchkey serve --help")
	w.run("serve", "now").says(t, 2, "takes no argument")
	w.run("sevre").says(t, 2, "sevre", "latchkey --help")
	w.runWith([]string{"LATCHKEY_ADR=127.0.0.1:1", "LATCHKEY_LOG_FORMAT=xml"}, "", "serve").
		says(t, 2, "LATCHKEY_ADR", "LATCHKEY_ADDR", "LATCHKEY_LOG_FORMAT", "--store is required")
	file := w.write("latchkey.toml", "addr = \"nowhere\"\nkeep-ended = \"1m\"\ncolour = \"red\"\n")
	w.run("serve", "--config", file).says(t, 2, "addr in latchkey.toml", "keep-ended in latchkey.toml", "colour")
	w.run("serve", "--addr", "0.0.0.0:0", "--store", "sqlite:///x/y.db").says(t, 2, "--public-url is required")
}

// TestConfigurationSources gives settings by flag, variable and file at once.
func TestConfigurationSources(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	file := i.write("latchkey.toml", "addr = \"256.0.0.1:0\"\nlog-format = \"text\"\nstore = \""+i.store+"\"\n")
	env := []string{"LATCHKEY_ADDR=also wrong", "LATCHKEY_MASTER_KEY_FILE=" + i.master, "LATCHKEY_CONFIG=" + file, "LATCHKEY_LOG_FORMAT=json"}
	p := i.startWith(env, "serve", "--addr", "127.0.0.1:0")
	p.signIn(i.in, "alice@example.com")
	if !strings.HasPrefix(p.logged(), "{") {
		t.Errorf("the variable doesn't go before the file: %s", p.tail())
	}
}

// TestWrongStore starts servers on stores that they can't serve.
func TestWrongStore(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	serve := func(store string) outcome {
		return i.run("serve", "--addr", "127.0.0.1:0", "--store", store, "--master-key-file", i.master)
	}
	serve("sqlite://"+i.path("none.db")).says(t, 1, i.path("none.db"), "latchkey migrate")
	if _, err := os.Stat(i.path("none.db")); err == nil {
		t.Error("serve makes a store")
	}
	serve("sqlite://"+i.write("empty.db", "")).says(t, 1, "latchkey migrate")
	serve("sqlite://"+i.write("text.db", strings.Repeat("this is no database\n", 500))).says(t, 1, i.path("text.db"))
	serve("sqlite://"+i.dir).says(t, 1, i.dir)
	i.run("migrate", "--store", "sqlite://"+i.path("no/such/folder.db")).says(t, 1, "no/such/folder.db")

	version := i.schema(-1)
	i.schema(version - 1)
	serve(i.store).says(t, 1, "latchkey migrate")
	i.schema(version + 1)
	serve(i.store).says(t, 1, "newer version")
	i.run("migrate", "--store", i.store).says(t, 1, "newer version")
	i.schema(version)
	i.run("migrate", "--store", i.store).must(t)
	i.serve().signIn(i.in, "alice@example.com")
}

// TestMasterKey starts servers without the key, or with another one than the store was
// made with.
func TestMasterKey(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	serve := func(master string) outcome {
		return i.run("serve", "--addr", "127.0.0.1:0", "--store", i.store, "--master-key-file", master)
	}
	i.run("serve", "--addr", "127.0.0.1:0", "--store", i.store).says(t, 2, "--master-key-file is required", "LATCHKEY_MASTER_KEY")
	i.run("key", "rotate", "--store", i.store).says(t, 2, "no master key", "--master-key-file")
	serve(i.path("none.key")).says(t, 2, "--master-key-file can't be opened")
	serve(i.write("junk.key", "hunter2\n")).says(t, 2, "--master-key-file", "32 bytes")
	other := i.masterKey("other.key")
	serve(other).says(t, 1, "master key", i.in.ID)
	// What these made would be lost to every server with the right key.
	for _, command := range [][]string{{"key", "rotate", "--immediate"}, {"project", "create", "Second"}} {
		i.run(append(command, "--store", i.store, "--master-key-file", other)...).says(t, 1, "master key", i.in.ID)
	}

	// A new key goes on the first line, and what the old one sealed still opens.
	old, err := os.ReadFile(i.master)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	i.master = i.write("both.key", string(fresh)+string(old))
	i.serve().signIn(i.in, "alice@example.com")
	if err := os.Chmod(i.master, 0o644); err != nil {
		t.Fatal(err)
	}
	serve(i.master).says(t, 2, "--master-key-file", "chmod 600")
}

// TestPortTaken starts a second server at the same address.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	i.run(i.args("serve", "--addr", l.Addr().String())...).says(t, 1, l.Addr().String(), "taken", "--addr")
	i.run("dev", "--addr", l.Addr().String()).says(t, 1, l.Addr().String(), "taken", "--addr")
}

// inFlight is a request whose handler waits for the rest of its body.
type inFlight struct {
	conn net.Conn
	r    *bufio.Reader
	body string
}

// begin sends a refresh without its body, and returns once the server waits for that:
// only a handler that has begun to read says 100 Continue.
func (p *process) begin(in tenancy, token string) inFlight {
	t := p.world.t
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := inFlight{conn, bufio.NewReader(conn), `{"refreshToken":"` + token + `"}`}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", in.user("/session/refresh"), len(f.body))
	line, err := f.r.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server answers %q, %v", line, err)
	}
	if _, err := f.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDrain stops a server with a request in flight: it is finished, and meanwhile
// readiness fails while everything else is still served.
func TestDrain(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve("--shutdown-delay", "2s")
	set := p.signIn(i.in, "alice@example.com")
	p.ask(call{method: "GET", path: "/readyz"}).must(t, nil)
	f := p.begin(i.in, set.RefreshToken)
	p.terminate()
	i.await("readiness fails", func() bool {
		a, err := p.send(call{method: "GET", path: "/readyz"})
		return err == nil && a.status != http.StatusOK
	})
	p.ask(call{method: "GET", path: "/readyz"}).refused(t, http.StatusServiceUnavailable, latchkey.CodeUnavailable, false)
	p.ask(call{method: "GET", path: "/livez"}).must(t, nil)
	p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)
	i.await("nobody is let in any more", func() bool {
		_, err := p.send(call{method: "GET", path: "/livez"})
		return err != nil
	})
	if p.over() {
		t.Fatal("the server ends with a request in flight")
	}
	fmt.Fprint(f.conn, f.body)
	r, err := http.ReadResponse(f.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got latchkey.TokenSet
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.StatusCode != http.StatusOK || got.RefreshToken == "" {
		t.Errorf("the request in flight is answered %d, %v", r.StatusCode, err)
	}
	i.keep([]byte(got.RefreshToken + " " + got.SessionToken))
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.tail())
	}
}

// TestDrainTimeout stops a server with a request that never ends.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve("--drain-timeout", "1s")
	p.begin(i.in, p.signIn(i.in, "alice@example.com").RefreshToken)
	p.terminate()
	if code := p.wait(); code != 1 || !strings.Contains(p.logged(), "drain timeout") {
		t.Errorf("exit status %d\n%s", code, p.tail())
	}
}

// TestMetrics reads the metrics as Prometheus does.
func TestMetrics(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set := p.signIn(i.in, "alice@example.com")
	p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)
	p.ask(refresh(i.in, set.SessionToken)).refused(t, 401, latchkey.CodeUnauthenticated, false)
	p.ask(call{method: "GET", path: "/nothing/" + set.Session.ID}).refused(t, 404, latchkey.CodeNotFound, false)
	a := p.ask(call{method: "GET", path: "/metrics"}).must(t, nil)
	if what := i.leak(a.body); what != "" || strings.Contains(string(a.body), set.Session.ID) {
		t.Errorf("the metrics hold a session's id or %s", what)
	}
	// Those of the process itself are the same for every program, and nobody has to learn
	// them for ours.
	families, ours := map[string]bool{}, 0
	var helped int
	for line := range strings.Lines(string(a.body)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 3 && fields[1] == "HELP":
			helped++
		case len(fields) == 4 && fields[1] == "TYPE":
			families[fields[2]] = true
			if strings.HasPrefix(fields[2], "latchkey_") {
				ours++
			}
		}
	}
	if ours == 0 || ours > 20 || helped != len(families) {
		t.Errorf("there are %d metrics, %d of them ours, %d with help; at most 20 of ours are wanted", len(families), ours, helped)
	}
	for _, want := range []string{
		`latchkey_refreshes_total{verdict="replay"} 1`,
		`latchkey_sessions_created_total 1`,
		`version="` + version + `"`,
		`route="/{project}/session/refresh",status="200"} 1`,
		`route="/{project}/session/refresh",status="401"} 1`,
	} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("the metrics don't say %s:\n%s", want, a.body)
		}
	}
}

// TestVersion asks for the version in all the places that know it.
func TestVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if out := w.run("version").must(t).out; out != "latchkey "+version+"\n" {
		t.Errorf("latchkey version prints %q", out)
	}
	var got struct{ Version string }
	if w.run("version", "--json").read(t, &got); got.Version != version {
		t.Errorf("latchkey version --json says %q", got.Version)
	}
	help := w.run("--help").must(t).out
	for _, command := range []string{"bench", "dev", "key", "migrate", "project", "serve", "session", "token", "version"} {
		if !slices.ContainsFunc(strings.Split(help, "\n"), func(line string) bool { return strings.HasPrefix(line, "  "+command+" ") }) {
			t.Errorf("latchkey --help doesn't list %s:\n%s", command, help)
		}
	}
}
