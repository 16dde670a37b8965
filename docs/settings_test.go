package docs_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// The page names every setting, and the default that it gives is the one in force.
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
}
