package native_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey"
)

// ledger holds what every route has answered in all tests, so that the description and
// the behaviour can't disagree: check refuses an answer that isn't described, and
// TestMain a description that was never seen to be true.
type ledger struct {
	mu  sync.Mutex
	all map[string]map[latchkey.Code]bool // "" stands for success
}

var seen = &ledger{all: map[string]map[latchkey.Code]bool{}}

func (l *ledger) add(route string, status int, code latchkey.Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[route] == nil {
		l.all[route] = map[latchkey.Code]bool{}
	}
	l.all[route][code] = true
}

// documented is filled by TestEveryRouteIsDescribed.
var documented = map[string][]latchkey.Code{}

// missing returns what is described and was never answered.
func (l *ledger) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, route := range slices.Sorted(maps.Keys(documented)) {
		for _, code := range append([]latchkey.Code{""}, documented[route]...) {
			if !l.all[route][code] {
				out = append(out, fmt.Sprintf("%s is said to answer %q, but no test has seen it", route, code))
			}
		}
	}
	return out
}

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	if status == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		for _, text := range seen.missing() {
			fmt.Fprintln(os.Stderr, text)
			status = 1
		}
	}
	os.Exit(status)
}
