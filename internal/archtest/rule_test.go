package archtest

import (
	"slices"
	"strings"
)

const module = "github.com/latchkey-dev/latchkey"

// unit is one package as the rule sees it: its path and what its shipped files import.
type unit struct {
	path    string
	imports []string
}

// breach is one import that the rule forbids, with the reason that a reader needs in
// order to move the code instead of the rule.
type breach struct {
	from, to, why string
}

func (b breach) String() string { return b.from + " imports " + b.to + ": " + b.why }

// place is where a package stands: its line in the house and the name of its room.
type place struct {
	line  int
	room  string
	floor floor
}

// The reasons. Each one says what would break.
const (
	whyBelow     = "a package imports only what stands above it in archtest's list, so that a change never reaches back up and each part can be read without those below it"
	whyNoPlace   = "the package has no line in archtest's list; give it one, where its imports stand above it"
	whySDKHouse  = "customers link the root package, and it must not bring the server along"
	whySDKLinks  = "customers link the root package and latchkeytest; a dependency of ours would become one of theirs"
	whyGround    = "ground packages handle secrets and everything links them; they stand on the standard library alone"
	whyDomainDep = "domain packages hold the rules of the product; a dependency there needs an entry, with its reason, in archtest"
	whyDomainNet = "the rules of the product know no HTTP, so that every face can serve them and a test needs no server"
	whyDomainSQL = "the rules of the product know no SQL, so that every store decides by the same code"
	whyStoreNet  = "a store answers to the domain; what a status code is, a face decides"
	whyFaceSQL   = "a face asks the domain; a query of its own would go around the rules"
	whyFaceStore = "a face asks the domain; going to a store would go around the rules, and tie the dialect to a database"
	whySideFace  = "faces know nothing of each other, so that one can be removed with one line; what they share belongs in face/wire"
	whySideStore = "stores know nothing of each other, so that one can be removed with one line; what they share belongs in the domain"
	whyDriver    = "only internal/store names the drivers, so that one can be removed with one line"
	whyTestOnly  = "packages whose names end in test are for tests; shipped code would carry the testing package"
	whyEntry     = "binaries, examples and black-box tests are where programs start; nothing builds on them"
	whyExample   = "an example shows what customers can do, and customers can't import internal packages"
)

// outsiders lists the dependencies that domain packages, and packages that customers
// link, may have. Each stands here because writing it ourselves would be worse.
func outsiders() map[string][]string {
	const cel = "github.com/google/cel-go/"
	return map[string][]string{
		// An expression language is a parser, a type checker and a cost model. This one
		// always ends, and has no I/O to take away.
		"internal/claim/template": {cel + "cel", cel + "common/ast", cel + "common/env", cel + "common/operators", cel + "common/overloads",
			cel + "common/types", cel + "common/types/ref", cel + "common/types/traits", cel + "interpreter"},
		// Which domains are registrable is a list that others keep, and a cookie
		// set for a public suffix would reach strangers.
		"internal/policy": {"golang.org/x/net/publicsuffix"},
		// A dozen databases have a store of this shape already. Who doesn't import
		// vault doesn't link it.
		"vault": {"github.com/alexedwards/scs/v2"},
	}
}

// check returns every import in the graph that the rule forbids.
func check(graph []unit) []breach {
	var found []breach
	for _, u := range graph {
		from, ok := locate(u.path)
		if !ok {
			found = append(found, breach{u.path, "anything", whyNoPlace})
			continue
		}
		for _, to := range u.imports {
			if why := judge(u.path, from, to); why != "" {
				found = append(found, breach{u.path, to, why})
			}
		}
	}
	return found
}

// judge returns why the package at path must not import to, or nothing if it may.
func judge(path string, from place, to string) string {
	switch inside, ok := within(to); {
	case !ok && standard(to):
		return judgeStandard(path, from.floor, to)
	case !ok:
		return judgeOutside(from, to)
	case forTests(inside) && !forTests(path) && from.room != "e2e":
		return whyTestOnly
	default:
		return judgeInside(from, inside)
	}
}

func judgeStandard(path string, from floor, to string) string {
	switch {
	case beneath(to, "testing") && from != entry && !forTests(path):
		return whyTestOnly
	case beneath(to, "net/http") && (from == ground || from == domain):
		return whyDomainNet
	case beneath(to, "net/http") && (from == driver || from == union):
		return whyStoreNet
	case beneath(to, "database/sql") && (from == ground || from == domain):
		return whyDomainSQL
	case beneath(to, "database/sql") && (from == wire || from == face):
		return whyFaceSQL
	}
	return ""
}

func judgeOutside(from place, to string) string {
	switch {
	case from.floor == sdk && !slices.Contains(outsiders()[from.room], to):
		return whySDKLinks
	case from.floor == ground:
		return whyGround
	case from.floor == domain && !slices.Contains(outsiders()[from.room], to):
		return whyDomainDep
	}
	return ""
}

func judgeInside(from place, inside string) string {
	to, ok := locate(inside)
	switch {
	case !ok:
		return whyNoPlace
	case to.room == from.room:
		return "" // the language itself forbids cycles
	case from.floor == sdk && to.floor != sdk:
		return whySDKHouse
	case to.floor == entry:
		return whyEntry
	case from.room == "examples" && to.floor != sdk:
		return whyExample
	case from.floor == entry:
		return ""
	default:
		return judgeRooms(from, to)
	}
}

func judgeRooms(from, to place) string {
	store := to.floor == driver || to.floor == union
	switch {
	case from.floor == driver && to.floor == driver:
		return whySideStore
	case from.floor == face && to.floor == face:
		return whySideFace
	case (from.floor == wire || from.floor == face) && store:
		return whyFaceStore
	case from.floor == frame && to.floor == driver:
		return whyDriver
	case to.line >= from.line:
		return whyBelow
	}
	return ""
}

// locate finds the longest line of the house that a package lies at or beneath. Of two
// equally long ones the upper counts, so a name goes before the star that follows it.
func locate(path string) (place, bool) {
	var best place
	longest := -1
	for line, r := range house() {
		name, ok := cover(r.path, path)
		if n := strings.Count(name, "/"); ok && n > longest {
			best, longest = place{line, name, r.floor}, n
		}
	}
	return best, longest >= 0
}

// cover reports whether path lies at or beneath pattern, and names the room it is in:
// the pattern with its star filled in. The root covers only itself.
func cover(pattern, path string) (string, bool) {
	if pattern == "" || path == "" {
		return "", pattern == path
	}
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(have) < len(want) {
		return "", false
	}
	for i, w := range want {
		if w != "*" && w != have[i] {
			return "", false
		}
	}
	return strings.Join(have[:len(want)], "/"), true
}

// within strips the module's path, and reports whether the import is ours.
func within(imported string) (string, bool) {
	if imported == module {
		return "", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// standard applies the go command's own test: only paths outside the standard library
// begin with a host name.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func beneath(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }

func forTests(path string) bool { return strings.HasSuffix(path, "test") }
