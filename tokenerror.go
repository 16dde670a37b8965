package latchkey

import "errors"

// Reason is why a Verifier refused a token: a stable word to decide and to count by.
type Reason string

// The reasons. The first group is about the token itself, the second about what is known
// of keys and revocations, the third about what a Requirement asks.
const (
	ReasonMalformed   Reason = "malformed"     // not a compact JWS, or not strict JSON of the expected shape
	ReasonTooLarge    Reason = "too_large"     // over 16 KiB
	ReasonType        Reason = "type"          // another kind of token: typ isn't at+jwt, or it needs a proof of its key
	ReasonAlgorithm   Reason = "algorithm"     // not the algorithm of the key, or an extension that isn't supported
	ReasonUnknownKey  Reason = "unknown_key"   // no key of the key set has this kid
	ReasonSignature   Reason = "signature"     // altered, or signed by another key
	ReasonIssuer      Reason = "issuer"        // of another project or server
	ReasonAudience    Reason = "audience"      // not meant for this application
	ReasonExpired     Reason = "expired"       // exp is over
	ReasonNotYetValid Reason = "not_yet_valid" // nbf or iat is in the future: a clock is wrong

	ReasonRevoked         Reason = "revoked"          // the revocation feed says so
	ReasonOutdated        Reason = "outdated"         // good, but it shows a state that has changed: refresh
	ReasonKeysUnavailable Reason = "keys_unavailable" // the key set was never fetched, and can't be now
	ReasonFeedSilent      Reason = "feed_silent"      // a strict check without a feed that is known to be current

	ReasonMethods      Reason = "amr"          // an authentication method is missing
	ReasonStepUp       Reason = "step_up"      // the session isn't stepped up
	ReasonAge          Reason = "max_age"      // the sign-in is too long ago
	ReasonImpersonated Reason = "impersonated" // somebody acts in the user's place
	ReasonTenant       Reason = "tenant"       // not a member of the tenant
	ReasonRole         Reason = "role"         // a role is missing
	ReasonPermission   Reason = "permission"   // a permission is missing
)

// allReasons lists the reasons in the order of their definition.
func allReasons() []Reason {
	return []Reason{
		ReasonMalformed, ReasonTooLarge, ReasonType, ReasonAlgorithm, ReasonUnknownKey, ReasonSignature, ReasonIssuer, ReasonAudience,
		ReasonExpired, ReasonNotYetValid, ReasonRevoked, ReasonOutdated, ReasonKeysUnavailable, ReasonFeedSilent,
		ReasonMethods, ReasonStepUp, ReasonAge, ReasonImpersonated, ReasonTenant, ReasonRole, ReasonPermission,
	}
}

// Refreshable reports whether a refresh of the session may give a token that is accepted:
// the token was a good one once, and what is wrong with it is its age. A revoked one is
// among them because a revocation of all sessions of a user can spare one; for any other
// the refresh ends with a terminal refusal, which is what tells the client to sign in.
//
// A token that never was good (malformed, signature, issuer, …) isn't refreshable: treat
// it as if it weren't there. Nor is one that misses what a route asks: a changed role
// makes it outdated first. Nor is one from the future: its successor would be, too.
func (r Reason) Refreshable() bool {
	switch r {
	case ReasonExpired, ReasonOutdated, ReasonRevoked, ReasonUnknownKey:
		return true
	}
	return false
}

// sentence explains a reason to people.
func (r Reason) sentence() string {
	switch r {
	case ReasonMalformed:
		return "this is not a token in compact form"
	case ReasonTooLarge:
		return "the token is longer than any token is"
	case ReasonType:
		return "this is not a session token"
	case ReasonAlgorithm:
		return "the token's algorithm is not that of its key"
	case ReasonUnknownKey:
		return "the key set has no such key: it was revoked or has gone, or the token is of another project"
	case ReasonSignature:
		return "the signature is wrong: the token was altered, or another key signed it"
	case ReasonIssuer:
		return "the token is of another issuer"
	case ReasonAudience:
		return "the token is not meant for this audience"
	case ReasonExpired:
		return "the token has expired"
	case ReasonNotYetValid:
		return "the token is from the future; is this machine's clock right?"
	}
	return r.circumstance()
}

func (r Reason) circumstance() string {
	switch r {
	case ReasonRevoked:
		return "the token was revoked"
	case ReasonOutdated:
		return "the token shows a state that has changed since; refresh it"
	case ReasonKeysUnavailable:
		return "the key set can't be fetched"
	case ReasonFeedSilent:
		return "it is not known whether the token was revoked: the revocation feed is silent"
	case ReasonMethods:
		return "the session lacks an authentication method that is wanted here"
	case ReasonStepUp:
		return "a stepped-up session is wanted here"
	case ReasonAge:
		return "the sign-in is too long ago"
	case ReasonImpersonated:
		return "this is not for somebody who acts in the user's place"
	case ReasonTenant:
		return "the user isn't a member of the tenant"
	case ReasonRole:
		return "a role is missing"
	case ReasonPermission:
		return "a permission is missing"
	}
	return "the token is refused"
}

// TokenError is the refusal of a token by a Verifier. It never holds a part of the token
// or of its claims, so that it can be logged and shown.
type TokenError struct {
	Reason Reason

	detail string // which rule it broke; one of this package's own words
	cause  error  // of keys that can't be fetched
}

func refuseToken(r Reason, detail string) *TokenError { return &TokenError{Reason: r, detail: detail} }

// Error says in one sentence what is wrong.
func (e *TokenError) Error() string {
	s := e.Reason.sentence()
	if e.detail != "" {
		s += ": " + e.detail
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns why the key set can't be fetched, nil for every other reason.
func (e *TokenError) Unwrap() error { return e.cause }

// ReasonOf returns the reason of a refusal by a Verifier, and "" for every other error
// and for nil.
func ReasonOf(err error) Reason {
	var refused *TokenError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}
