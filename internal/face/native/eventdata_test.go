package native_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// eventRow is what docs/events.md says of one type: its name, when it is written, its data.
var eventRow = regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\| [^|]* \\| ([^|]*)\\|$")

// eventMembers are the members of data that the page names, by type.
var eventMembers = sync.OnceValues(func() (map[audit.Type][]string, error) {
	page, err := os.ReadFile("../../../docs/events.md")
	named := map[audit.Type][]string{}
	for _, row := range eventRow.FindAllStringSubmatch(string(page), -1) {
		for _, m := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(row[2], -1) {
			named[audit.Type(row[1])] = append(named[audit.Type(row[1])], m[1])
		}
	}
	return named, err
})

// checkEvents holds every event that was written in a world to what the page says of it.
func (w *world) checkEvents(t testing.TB) {
	named, err := eventMembers()
	must(t, err)
	list, _, err := w.store.Events().After(context.Background(), id.Project{}, 0, audit.Look)
	must(t, err)
	for _, e := range list {
		for name := range e.Data {
			// Who acts as a user is named in every event of the session.
			if !slices.Contains(named[e.Type], name) && (name != "impersonator" || e.Session.IsZero()) {
				t.Errorf("docs/events.md doesn't say that %s has %s", e.Type, name)
			}
		}
	}
}
