// Package latchkey gives Go programs sessions that a Latchkey server keeps: it verifies
// session tokens, refreshes them without anybody noticing, keeps them in cookies, and
// refuses what was revoked a fraction of a second ago. It links the standard library
// only.
//
// # The pieces
//
//   - [Verifier] checks session tokens in memory. Its Run keeps the project's keys fresh
//     and follows the revocation feed.
//   - [Client] calls the server: it creates, refreshes and ends sessions, and does
//     whatever else a management key permits.
//   - [Middleware] stands in front of the handlers of a web application: it finds the
//     session of a request, refreshes it when needed and refuses requests without one.
//     [FromContext] tells a handler whose session it is.
//   - [CookieStore] keeps the tokens in cookies, [Doctor] says what browsers would make of
//     these. Package vault keeps the tokens on the server instead.
//   - Package latchkeytest is a fake server for the tests of applications.
//
// A web application needs the first three and nothing else:
//
//	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: issuer, Key: key})
//	client, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: issuer, Key: key})
//	sessions, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: client, SignInURL: "/sign-in"})
//
//	go verifier.Run(ctx)
//	mux.Handle("GET /account", sessions.Required(account)) // in it: latchkey.FromContext(r.Context())
//	mux.Handle("POST /sign-in", sessions.Optional(signIn)) // in it: client.CreateSession, then sessions.SignIn
//	mux.Handle("POST /sign-out", signOut)                  // in it: sessions.SignOut
//
// A service that others call with a token in the Authorization header needs the
// Verifier only, and a Middleware with HeaderOnly if it likes.
//
// # Errors
//
// A refusal by the server is an [*Error], one by a Verifier a [*TokenError], one by a
// Middleware a [Refusal]. There is one rule about all of them: only a terminal one ([IsTerminal],
// Refusal.Terminal) ends a session. After any other, tokens and cookies stay as they are.
//
// # What crosses the wire
//
// The other types are those that server and clients exchange: token sets, sessions,
// users, settings, problems. The server encodes these very types, so there is one
// definition of the contract.
package latchkey
