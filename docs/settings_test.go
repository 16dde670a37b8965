package docs_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/policy"
)

// The page names every setting, and each default that it gives is the one in force.
func TestSettingsPage(t *testing.T) {
	page, err := os.ReadFile("settings.md")
	if err != nil {
		t.Fatal(err)
	}
	typ := reflect.TypeFor[latchkey.Settings]()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "`"+name+".") {
			t.Errorf("docs/settings.md doesn't tell of %s", name)
		}
	}
	b, err := json.Marshal(policy.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	var inForce map[string]any
	if err := json.Unmarshal(b, &inForce); err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 15 {
		t.Errorf("only %d defaults were found on the page", len(rows))
	}
	for _, row := range rows {
		text, err := json.Marshal(inForce[row[1]])
		if got := strings.Trim(string(text), `"`); err != nil || got != row[2] && !same(got, row[2]) {
			t.Errorf("docs/settings.md says that %s is %s, it is %s", row[1], row[2], got)
		}
	}
}

// same reports whether two texts are one length of time.
func same(a, b string) bool {
	d, err := latchkey.ParseDuration(a)
	e, also := latchkey.ParseDuration(b)
	return err == nil && also == nil && d == e
}
