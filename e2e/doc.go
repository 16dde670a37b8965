// Package e2e owns the tests that know nothing of the code: they build the latchkey
// binary, run it as a process of its own, and talk to it as its users do, by the command
// line, over HTTP, with curl, and with a JWT library of another language.
//
// What the parts do one by one is tested beside the parts.
package e2e
