package native

import (
	"strings"
	"testing"
)

// Whatever the document holds, the page shows it as text.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	routes := []Route{{
		Method: "POST", Pattern: "/{project}/x", ID: "evil", Tag: tagSettings, Summary: evil, About: evil, Scope: "settings",
		Answer: struct {
			A string `json:"a" description:"<script>alert(1)</script>" enum:"<b>"`
		}{},
	}}
	_, page, err := describe(routes, "https://x.example/"+evil, evil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"<script", "<img", "<b>"} {
		if strings.Contains(string(page), tag) {
			t.Errorf("%s is in the page", tag)
		}
	}
	if !strings.Contains(string(page), "&lt;script&gt;") {
		t.Error("the text is gone")
	}
}

func TestDescribeRefusesWhatCantBeDescribed(t *testing.T) {
	t.Parallel()
	good := Route{Method: "GET", Pattern: "/{project}/x", ID: "x", Tag: tagUsers, Summary: "x", Answer: nothing{}}
	for name, change := range map[string]func(r *Route){
		"an unknown code":      func(r *Route) { r.Codes = append(r.Codes, "oops") },
		"an unknown parameter": func(r *Route) { r.Pattern = "/{oops}" },
		"an unknown method":    func(r *Route) { r.Method = "FETCH" },
		"a type without form": func(r *Route) {
			r.Answer = struct {
				C chan int `json:"c"`
			}{}
		},
	} {
		bad := good
		change(&bad)
		if _, _, err := describe([]Route{bad}, "https://x.example", "1"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, _, err := describe([]Route{good, good}, "https://x.example", "1"); err == nil {
			t.Error("the same operation twice: no error")
		}
	}
	if _, _, err := describe([]Route{good}, "https://x.example", "1"); err != nil {
		t.Error(err)
	}
}

func TestNewNeedsItsDependencies(t *testing.T) {
	t.Parallel()
	if _, err := New(Deps{}); err == nil {
		t.Error("no error without dependencies")
	}
	for _, r := range []Route{{}, {ID: "x", Summary: "x", Tag: "x"}, {ID: "x", Summary: "x", Tag: "x", serve: (&Face{}).jwks, Query: 7}} {
		if r.check() == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}
