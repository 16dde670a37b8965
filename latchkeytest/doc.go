// Package latchkeytest is for tests of applications that use Latchkey, in the manner of
// net/http/httptest: an Issuer is a server in the test's own process that signs tokens,
// refreshes sessions and publishes revocations, with knobs for what a test needs to
// happen: tokens with any claims, time that passes, sessions that end, a server that is
// down.
//
// An Issuer answers the end-user endpoints (refresh, ack, logout, logout-others,
// logout-all, session, sessions), the exchange of access keys, the key set, the revocation
// feed, and of the management endpoints those for sessions: create, get, revoke, revoke
// all of a user. It
// follows the rules of rotation, and its answers are compared with the real server's in
// that one's own tests. What it doesn't do:
//
//   - keep users, settings, tenants, roles, events, traces or management keys: any text is
//     a user, and a token says what a test gives it;
//   - limit how often anything is asked, compare networks and browsers, or let sessions
//     end by idling;
//   - make opaque refresh tokens, set cookies, or sign with anything but ES256;
//   - check claims for reserved names or size.
//
// Nothing of it is for production: it keeps tokens in clear and trusts its caller.
package latchkeytest
