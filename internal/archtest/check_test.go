package archtest

import (
	"slices"
	"testing"
)

// ours turns paths below the module into the paths that files import.
func ours(paths ...string) []string {
	var full []string
	for _, p := range paths {
		if p == "" {
			full = append(full, module)
			continue
		}
		full = append(full, module+"/"+p)
	}
	return full
}

func TestCheckAllows(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]unit{
		"the root package links the standard library": {"", []string{"net/http", "crypto/ecdsa"}},
		"latchkeytest builds on the root package":     {"latchkeytest", append(ours(""), "testing", "net/http/httptest")},
		"anyone uses the wire types":                  {"internal/secret", ours("")},
		"ground builds on ground above it":            {"internal/fault", ours("internal/id", "internal/secret")},
		"domain builds on what is above it":           {"internal/session", ours("", "internal/fault", "internal/audit", "internal/key")},
		"policy asks the public suffix list":          {"internal/policy", []string{"golang.org/x/net/publicsuffix"}},
		"a part of a room uses the room":              {"internal/session/trace", ours("internal/session")},
		"a room uses its own part":                    {"internal/store/sqlite", ours("internal/store/sqlite/schema")},
		"a driver brings its database":                {"internal/store/sqlite", append(ours("internal/session", "internal/token"), "database/sql", "modernc.org/sqlite")},
		"the contract of stores is for tests":         {"internal/store/storetest", append(ours("internal/session"), "testing")},
		"store opens the drivers":                     {"internal/store", ours("internal/store/memory", "internal/store/sqlite", "internal/session")},
		"a face shares wire":                          {"internal/face/native", append(ours("internal/face/wire", "internal/token"), "net/http")},
		"a translation shares wire":                   {"internal/face/compat/vendor", ours("internal/face/wire")},
		"the frame puts the parts together":           {"internal/server", ours("internal/config", "internal/observe", "internal/store", "internal/face/native")},
		"a binary imports anything":                   {"cmd/latchkey", append(ours("", "internal/server", "internal/store/sqlite", "internal/key"), "net/http", "database/sql", "github.com/spf13/cobra")},
		"an example is a customer":                    {"examples/minimal", append(ours(""), "net/http")},
		"black-box tests share what they like":        {"e2e/client", append(ours("latchkeytest"), "testing")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, b := range check([]unit{u}) {
				t.Error(b)
			}
		})
	}
}

func TestCheckForbids(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, why string }{
		{"", module + "/internal/secret", whySDKHouse},
		{"latchkeytest", module + "/internal/key", whySDKHouse},
		{"", "golang.org/x/crypto/argon2", whySDKLinks},
		{"latchkeytest", "github.com/golang-jwt/jwt/v5", whySDKLinks},
		{"", module + "/latchkeytest", whyTestOnly},
		{"", "testing", whyTestOnly},

		{"internal/secret", module + "/internal/id", whyBelow},
		{"internal/secret", "golang.org/x/crypto/argon2", whyGround},
		{"internal/fault", "net/http", whyDomainNet},
		{"internal/id", module + "/internal/session", whyBelow},

		{"internal/audit", module + "/internal/policy", whyBelow},
		{"internal/key", module + "/internal/session", whyBelow},
		{"internal/session", module + "/internal/token", whyBelow},
		{"internal/session", module + "/internal/store", whyBelow},
		{"internal/session", module + "/internal/store/memory", whyBelow},
		{"internal/session", module + "/internal/face/wire", whyBelow},
		{"internal/session", module + "/internal/server", whyBelow},
		{"internal/token", "net/http", whyDomainNet},
		{"internal/token", "net/http/httptest", whyDomainNet},
		{"internal/session", "database/sql", whyDomainSQL},
		{"internal/session", "database/sql/driver", whyDomainSQL},
		{"internal/session", "golang.org/x/net/publicsuffix", whyDomainDep},
		{"internal/policy", "golang.org/x/net/html", whyDomainDep},
		{"internal/token", "testing", whyTestOnly},

		{"vault", "github.com/alexedwards/scs/v2/memstore", whySDKLinks},
		{"vault", module + "/internal/secret", whySDKHouse},
		{"", module + "/vault", whyBelow},

		{"internal/store/sqlite", module + "/internal/store/memory", whySideStore},
		{"internal/store/storetest", module + "/internal/store/memory", whySideStore},
		{"internal/store/memory", module + "/internal/store", whyBelow},
		{"internal/store/memory", module + "/internal/face/wire", whyBelow},
		{"internal/store/memory", module + "/internal/observe", whyBelow},
		{"internal/store/memory", module + "/internal/store/storetest", whyTestOnly},
		{"internal/store/sqlite", "net/http", whyStoreNet},
		{"internal/store", "net/http", whyStoreNet},
		{"internal/store", module + "/internal/config", whyBelow},

		{"internal/face/native", module + "/internal/face/oauth", whySideFace},
		{"internal/face/native", module + "/internal/face/compat/vendor", whySideFace},
		{"internal/face/compat/vendor", module + "/internal/face/compat/other", whySideFace},
		{"internal/face/native", module + "/internal/store", whyFaceStore},
		{"internal/face/wire", module + "/internal/store/memory", whyFaceStore},
		{"internal/face/wire", module + "/internal/face/native", whyBelow},
		{"internal/face/native", module + "/internal/config", whyBelow},
		{"internal/face/native", "database/sql", whyFaceSQL},

		{"internal/config", module + "/internal/observe", whyBelow},
		{"internal/observe", module + "/internal/server", whyBelow},
		{"internal/server", module + "/internal/store/sqlite", whyDriver},
		{"internal/server", module + "/internal/archtest", whyTestOnly},
		{"internal/session", module + "/internal/limit", whyBelow},
		{"docs", module + "/internal/fault", whyBelow},
		{"internal/server", module + "/cmd/latchkey", whyEntry},

		{"cmd/latchkey", module + "/internal/store/storetest", whyTestOnly},
		{"cmd/latchkey", module + "/e2e", whyEntry},
		{"cmd/latchkey", module + "/internal/util", whyNoPlace},
		{"examples/minimal", module + "/internal/token", whyExample},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			got := check([]unit{{c.from, []string{"errors", c.to}}})
			want := []breach{{c.from, c.to, c.why}}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestCheckWantsAPlaceForEveryPackage(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"internal/util", "internal", "pkg/jwt", "internal/sessions"} {
		got := check([]unit{{path, []string{"errors"}}})
		if len(got) != 1 || got[0].why != whyNoPlace {
			t.Errorf("%s: got %v, want that it has no place", path, got)
		}
	}
}

func TestCheckReportsEveryBreach(t *testing.T) {
	t.Parallel()
	got := check([]unit{
		{"internal/id", ours("internal/fault", "internal/server")},
		{"internal/key", ours("internal/id")},
		{"internal/token", []string{"net/http", "database/sql"}},
	})
	if len(got) != 4 {
		t.Errorf("got %d breaches, want 4: %v", len(got), got)
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]place{
		"":                            {room: "", floor: sdk},
		"internal/session":            {room: "internal/session", floor: domain},
		"internal/session/a/b":        {room: "internal/session", floor: domain},
		"internal/store":              {room: "internal/store", floor: union},
		"internal/store/sqlite":       {room: "internal/store/sqlite", floor: driver},
		"internal/store/sqlite/x":     {room: "internal/store/sqlite", floor: driver},
		"internal/face/wire":          {room: "internal/face/wire", floor: wire},
		"internal/face/wire/x":        {room: "internal/face/wire", floor: wire},
		"internal/face/oauth":         {room: "internal/face/oauth", floor: face},
		"internal/face/compat/vendor": {room: "internal/face/compat/vendor", floor: face},
		"cmd/latchkey":                {room: "cmd/latchkey", floor: entry},
	} {
		got, ok := locate(path)
		if !ok || got.room != want.room || got.floor != want.floor {
			t.Errorf("%q: got %+v, %v; want room %q on floor %d", path, got, ok, want.room, want.floor)
		}
	}
}
