package native_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is answered to testdata")

// golden compares a body with the file of the name, after replacing what differs in
// every run.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var pretty bytes.Buffer
	must(t, json.Indent(&pretty, bytes.TrimSpace(body), "", "  "))
	got := normalised(pretty.String()) + "\n"
	path := filepath.Join("testdata", filepath.FromSlash(name)+".json")
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; -update writes what is answered now:\n%s", path, difference(got, string(want)))
	}
}

// difference shows where two texts part.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	at := 0
	for at < min(len(g), len(w)) && g[at] == w[at] {
		at++
	}
	part := func(lines []string) string {
		return strings.Join(lines[min(at, len(lines)):min(at+5, len(lines))], "\n")
	}
	return fmt.Sprintf("line %d, got\n%s\nwant\n%s", at+1, part(g), part(w))
}

// random matches what is drawn at random: identifiers, tokens, and the values of
// members that hold nothing else.
var random = regexp.MustCompile(`\b(prj|usr|ses|key|mk|evt|wh|ten|role|ak)_[0-9a-z]{26}\b|` +
	`eyJ[\w-]+\.[\w-]+\.[\w-]+|rt_[\w-]{40,}|lk_(mgmt|verify|ak)_[\w-]{20,}|whsec_[\w+/=]{40,}|` +
	`"(?:rid|prt|jti|token|issued|presented|newest|x|y|n)": "[\w-]{16,}"|"nextPageToken": "[^"]+"`)

// normalised gives equal random values equal names, so that a golden file shows which
// ones belong together.
func normalised(text string) string {
	names := map[string]string{}
	count := map[string]int{}
	return random.ReplaceAllStringFunc(text, func(found string) string {
		member, value, isMember := strings.Cut(found, `": "`)
		kind := member[:min(len(member), strings.IndexAny(member+"_", "_")+0)]
		switch {
		case isMember && member == `"nextPageToken`:
			kind, value = "page", strings.TrimSuffix(value, `"`)
		case isMember:
			kind, value = "random", strings.TrimSuffix(value, `"`)
		case strings.HasPrefix(found, "eyJ"):
			kind, value = "jwt", found
		case strings.HasPrefix(found, "rt_"), strings.HasPrefix(found, "lk_"), strings.HasPrefix(found, "whsec_"):
			kind, value = "secret", found
		default:
			value = found
		}
		if names[value] == "" {
			count[kind]++
			names[value] = fmt.Sprintf("<%s %d>", kind, count[kind])
		}
		if isMember {
			return member + `": "` + names[value] + `"`
		}
		return names[value]
	})
}
