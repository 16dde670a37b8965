// Package latchkey holds the types that cross the wire between a Latchkey server and
// those who talk to it: token sets, sessions, users, settings, problems. The server
// encodes these very types, so there is one definition of the contract.
//
// It links the standard library only and imports nothing of the server.
package latchkey
