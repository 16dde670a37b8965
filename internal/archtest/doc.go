// Package archtest owns the rule of which package may import which, and the tests
// that hold the tree to it. The rule is one sentence: inside internal, a package
// imports only what stands above it in the list that house returns, never sideways
// between stores or between faces. The root package, which customers link, stands
// above everything and imports nothing but the standard library.
//
// Test files are outside the rule: a test of the session package may use the memory
// store as its double, and that store imports the session package.
//
// It holds no code that the server runs, and nothing imports it.
package archtest

// floor is the kind of a room: packages of one floor obey the same bans.
type floor uint8

const (
	sdk    floor = iota // what customers link
	ground              // secrets, identifiers, refusals; the pages that are shown
	domain              // the rules of the product, without I/O
	driver              // one database each, and the contract that they share
	union               // opens the right driver
	wire                // what all faces share
	face                // one HTTP dialect each
	frame               // what puts the parts together
	entry               // binaries, examples and black-box tests
)

// room is a package with all that lies beneath it. In its path, which is relative to
// the module, a star stands for one element, so that each store and each face is a
// room of its own without being named here.
type room struct {
	path  string
	floor floor
}

// house returns the rooms from top to bottom. A new package needs a line here, and the
// place of the line says what the package may import.
func house() []room {
	return []room{
		{"", sdk},
		{"latchkeytest", sdk},
		{"vault", sdk},

		{"docs", ground},
		{"internal/secret", ground},
		{"internal/id", ground},
		{"internal/fault", ground},
		{"internal/spelling", ground},
		{"internal/bubbletest", ground},

		{"internal/audit", domain},
		{"internal/revocation", domain},
		{"internal/policy", domain},
		{"internal/claim", domain},
		{"internal/claim/template", domain},
		{"internal/document", domain},
		{"internal/directory", domain},
		{"internal/key", domain},
		{"internal/session", domain},
		{"internal/token", domain},
		{"internal/webhook", domain},

		{"internal/store/*", driver},
		{"internal/store", union},

		{"internal/face/wire", wire},
		{"internal/face/*", face},
		{"internal/face/compat/*", face},

		{"internal/transfer", frame},
		{"internal/limit", frame},
		{"internal/config", frame},
		{"internal/observe", frame},
		{"internal/outbound", frame},
		{"internal/server", frame},
		{"internal/archtest", frame},

		{"cmd/*", entry},
		{"bench", entry},
		{"e2e", entry},
		{"examples", entry},
	}
}
