package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// imported is what importing says with --json.
type imported struct {
	Project string
	Kinds   map[string]struct{ Added, Changed, Same int }
}

// TestImportIsKilled kills imports at several places and repeats them: each gives the same
// as one that nothing has disturbed.
func TestImportIsKilled(t *testing.T) {
	const users = 3000
	w := newWorld(t)
	in := w.install()
	var text strings.Builder
	for i, name := range []string{"read", "write"} {
		fmt.Fprintf(&text, "{\"kind\":\"permission\",\"name\":%q,\"createdAt\":\"2026-01-0%dT00:00:00Z\"}\n", name, i+1)
	}
	text.WriteString(`{"kind":"role","id":"role_01kjmma2g4pe0j7ha8hatffpg9","name":"clerk","permissions":["read"],"createdAt":"2026-01-01T00:00:00Z"}` + "\n")
	text.WriteString(`{"kind":"tenant","id":"ten_01kjmma2g4pe0j7ha8hatffpg9","name":"Acme","createdAt":"2026-01-01T00:00:00Z"}` + "\n")
	for i := range users {
		fmt.Fprintf(&text, `{"kind":"user","loginIds":["user%d@example.com","user%d"],"attributes":{"n":%d},"roles":["clerk"],`+
			`"tenants":[{"tenant":"ten_01kjmma2g4pe0j7ha8hatffpg9","roles":["clerk"]}],"createdAt":"2026-01-01T00:00:00Z"}`+"\n", i, i, i)
	}
	byHand := w.write("users.jsonl", text.String())
	var whole imported
	begun := time.Now()
	w.run(in.args("project", "import", byHand, "--json")...).read(t, &whole)
	took := time.Since(begun)
	if whole.Kinds["user"].Added != users {
		t.Fatalf("imported %+v", whole)
	}
	w.run(in.args("project", "export", whole.Project, "--out", w.path("want.jsonl"))...).must(t)
	want, err := os.ReadFile(w.path("want.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	partly := 0
	for i := range 6 {
		other := newWorld(t).install()
		args := other.args("project", "import", w.path("want.jsonl"), "--project", other.in.ID, "--json")
		cmd := exec.Command(binary, args...)
		cmd.Env = environment()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(took * time.Duration(i+1) / 8)
		cmd.Process.Kill()
		cmd.Wait() // it was killed, or it was quicker
		var again imported
		other.run(args...).read(t, &again)
		if users := again.Kinds["user"]; users.Changed > 0 {
			t.Errorf("repeating changed %d users", users.Changed)
		} else if users.Added > 0 && users.Same > 0 {
			partly++
		}
		got := other.run(other.args("project", "export", other.in.ID)...).must(t).out
		if strings.ReplaceAll(got, other.in.ID, whole.Project) != string(want) {
			t.Errorf("an import that was killed at %d/8 and repeated gives something else", i+1)
		}
	}
	if partly == 0 {
		t.Error("no import was killed while it imported users")
	}
	t.Logf("%d of 6 imports were killed in the middle of the users; whole: %v", partly, took)
}
