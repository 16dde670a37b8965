package config

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "rewrite the tables in docs/configuration.md")

const (
	page  = "../../docs/configuration.md"
	begin = "<!-- settings: written by go test ./internal/config -update -->\n"
	end   = "<!-- end of settings -->\n"
)

// tables describes the settings, one table for each group.
func tables() string {
	var b strings.Builder
	group := ""
	for _, s := range Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n### %s\n\n| setting | variable | default | what it is |\n|---|---|---|---|\n", group)
		}
		name, value := "`--"+s.Name+"`", "`"+s.Default+"`"
		if !s.Flag {
			name = "variable only"
		} else if !s.File {
			name += ", not in the file"
		}
		switch {
		case s.Required:
			value = "required"
		case s.Default == "":
			value = ""
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", name, s.Env, value, strings.ToUpper(s.Help[:1])+s.Help[1:]+".")
	}
	return b.String() + "\n"
}

// The page says what the code does.
func TestPage(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begin)
	was, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has lost the marks around its tables", page)
	}
	if now := tables(); was != now {
		if !*update {
			t.Fatalf("%s is out of step with the settings; run go test ./internal/config -update", page)
		}
		if err := os.WriteFile(page, []byte(before+begin+now+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The example on the page is a configuration that works, and one without warnings.
func TestPageExample(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	if len(examples) != 1 {
		t.Fatalf("%d examples", len(examples))
	}
	c := command{files: fstest.MapFS{"etc/latchkey/master.key": {Data: []byte(key), Mode: 0o600}}}.toml(examples[0][1])
	c.environ = []string{"LATCHKEY_MASTER_KEY_FILE=etc/latchkey/master.key"} // fs.FS has no absolute paths
	if got := mustLoad(t, c); len(got.Warnings) != 0 || got.PublicURL == "" {
		t.Errorf("%+v", got)
	}
}

// Every problem that the page quotes is one that comes out.
func TestPageQuotes(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, err = command{args: []string{"--addr", "0.0.0.0:8080", "--store", "sqlite:///l.db", "--keep-ended", "5m"},
		environ: []string{"LATCHKEY_PUBLIC_ULR=https://id.example.com", "LATCHKEY_MASTER_KEY=" + key}}.load(t)
	if err == nil || !strings.Contains(string(content), "\n"+err.Error()+"\n") {
		t.Errorf("the page doesn't quote\n%v", err)
	}
}
