package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestQuickstartPage does what docs/quickstart.md tells, to the letter: a thief is found
// out, the owner is told so, and the trace says why.
func TestQuickstartPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	blocks := shellBlocks(t, "quickstart.md")
	if len(blocks) != 3 || !strings.Contains(blocks[0], "latchkey dev") {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	r := p.ready
	out := w.bash("export ISSUER=" + r.Issuer + " API=" + r.URL + "/v1/projects/" + r.Project + " KEY=" + r.ManagementKey + "\n" +
		blocks[1] + "\necho\n" + blocks[2])
	for _, want := range []string{`"code":"token_reuse"`, `"terminal":true`, `"rule":"rotate"`, `"rule":"theft"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands don't print %s:\n%s", want, out)
		}
	}
	if n := strings.Count(out, `"code":"token_reuse"`); n != 2 {
		t.Errorf("%d of thief and owner are told of the reuse, want both:\n%s", n, out)
	}
}

// TestCookiesPage does what docs/cookies.md tells: cookies come and go, and a page of
// another site is refused.
func TestCookiesPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start("dev", "--addr", "127.0.0.1:0").ready
	blocks := shellBlocks(t, "cookies.md")
	if len(blocks) != 2 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	out := w.bash("export ISSUER=" + r.Issuer + " API=" + r.URL + "/v1/projects/" + r.Project + " KEY=" + r.ManagementKey + "\n" +
		blocks[0] + "\necho\n" + blocks[1])
	for want, n := range map[string]int{
		"HTTP/1.1 200": 2, "HTTP/1.1 403": 1, `"code":"forbidden"`: 1,
		"Set-Cookie: DS=eyJ": 1, "Set-Cookie: DSR=eyJ": 1, "Set-Cookie: DSR=; Path=/; Max-Age=0": 1, "Vary: Cookie": 3, `"sessionToken"`: 0, `"refreshToken":"`: 0,
	} {
		if got := strings.Count(out, want); got != n {
			t.Errorf("the page's commands print %s %d times, want %d:\n%s", want, got, n, out)
		}
	}
}

// TestOperatingPage does what docs/operating.md tells, with paths of the test's own.
func TestOperatingPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blocks := shellBlocks(t, "operating.md")
	here := func(block string) string { return strings.ReplaceAll(block, "/var/lib/latchkey", w.dir) }
	made := w.bash(here(blocks[0]))
	if !regexp.MustCompile(`(?m)^management key  lk_mgmt_`).MatchString(made) {
		t.Fatalf("no management key is shown:\n%s", made)
	}
	serve := strings.Fields(here(blocks[1]))
	if serve[0] != "latchkey" || serve[1] != "serve" {
		t.Fatalf("the second commands are %q", blocks[1])
	}
	for i, arg := range serve {
		if arg == "master.key" {
			serve[i] = w.path("master.key")
		}
	}
	start := append(serve[1:], "--addr", "127.0.0.1:0", "--log-format", "json")
	p := w.start(start...)
	project := tenancy{ID: firstMatch(made, `prj_\w+`), ManagementKey: firstMatch(made, `lk_mgmt_\w+`)}
	set := p.signIn(project, "alice@example.com")
	change, reseal, ok := strings.Cut(here(blocks[len(blocks)-2]), "# now restart the server, then:\n")
	if !ok || !strings.Contains(reseal, "key reseal") {
		t.Fatalf("the commands before the last are %q", blocks[len(blocks)-2])
	}
	w.bash(change)
	p.stop()
	p = w.start(start...)
	if out := w.bash(reseal); !strings.Contains(out, "2 keys resealed") {
		t.Errorf("resealing says %q", out)
	}
	p.ask(refresh(project, set.RefreshToken)).must(t, &set)
	act := blocks[len(blocks)-1]
	if !strings.Contains(act, "session trace") || !strings.Contains(act, "session revoke") {
		t.Fatalf("the last commands are %q", act)
	}
	out := w.bash(strings.ReplaceAll(here(act), "ses_…", set.Session.ID))
	for _, want := range []string{set.Session.ID + "  ", "create", "is ended", `"2h"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands don't print %q:\n%s", want, out)
		}
	}
	p.ask(refresh(project, set.RefreshToken)).refused(t, 401, "session_revoked", true)
}

func firstMatch(text, pattern string) string { return regexp.MustCompile(pattern).FindString(text) }

// shellBlocks returns the commands on a page.
func shellBlocks(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, found := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(found[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/%s has no commands", page)
	}
	return blocks
}

// bash runs commands in the world's folder, with the binary in the path, and returns
// what they print.
func (w *world) bash(script string) string {
	w.t.Helper()
	bin := w.path("bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(bin, "latchkey")); err != nil && !os.IsExist(err) {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail")
	cmd.Dir, cmd.Stdin = w.dir, strings.NewReader(script)
	cmd.Env = append(environment(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	w.keep(out)
	if err != nil {
		w.t.Fatalf("the page's commands fail: %v\n%s", err, out)
	}
	return string(out)
}

// TestTenantPoliciesPage does what docs/tenant-policies.md tells.
func TestTenantPoliciesPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	in := tenancy{ID: p.ready.Project, ManagementKey: p.ready.ManagementKey}
	p.signIn(in, "alice@example.com")
	blocks := shellBlocks(t, "tenant-policies.md")
	if len(blocks) != 2 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	out := w.bash("export API=" + p.ready.URL + "/v1/projects/" + in.ID + " KEY=" + in.ManagementKey + "\n" + blocks[0] + "\necho\n" + blocks[1])
	for _, want := range []string{
		`{"settings":{"absoluteTimeout":"12h","idleTimeout":"15m","maxSessionsPerUser":1,"onLimit":"deny"},"effective":{"sessionTokenTTL":"10m","absoluteTimeout":"12h","idleTimeout":"15m",`,
		`"settings":{"absoluteTimeout":"12h","idleTimeout":"15m","stepUpTTL":"1h","maxSessionsPerUser":1}`,
		`"warnings":[{"pointer":"/stepUpTTL","detail":"this has no effect`,
		`{"sessions":0,"ended":0,"shortened":0,"extended":0,"unchanged":0,"sample":{"ended":[],"shortened":[],"extended":[]},"warnings":[{"pointer":"/stepUpTTL"`,
		`"ended":0,"shortened":1,"extended":0,`, `"wouldEndAt":"2`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands don't print %s:\n%s", want, out)
		}
	}
}

// TestRevocationPage does what docs/revocation.md tells.
func TestRevocationPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	in := tenancy{ID: p.ready.Project, ManagementKey: p.ready.ManagementKey}
	set := p.signIn(in, "alice@example.com")
	p.ask(call{method: "POST", path: in.user("/session/logout"), bearer: set.RefreshToken}).must(t, nil)
	blocks := shellBlocks(t, "revocation.md")
	if len(blocks) != 2 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	environment := "export ISSUER=" + p.ready.Issuer + " VERIFY_KEY=" + p.ready.VerifyKey + "\n"
	stream := w.bash(environment + blocks[0])
	for _, want := range []string{"retry: 1000\n", "event: snapshot\ndata: {", "event: revocation\nid: 1.", `"id":"` + set.Session.ID + `"`, "event: live\nid: 1."} {
		if !strings.Contains(stream, want) {
			t.Errorf("the stream doesn't print %q:\n%s", want, stream)
		}
	}
	poll := w.bash(environment + blocks[1])
	for _, want := range []string{`"snapshot":true,"entries":[{"seq":1,"kind":"session","id":"` + set.Session.ID, `"snapshot":false,"entries":[],"cursor":"1.`} {
		if !strings.Contains(poll, want) {
			t.Errorf("the poll doesn't print %q:\n%s", want, poll)
		}
	}
}
