// Package wire owns what every HTTP face shares: reading a request strictly (Decode,
// Query, Bearer), writing an answer (JSON, cache headers) or a refusal (Problems), the
// request's id, the client's address and device (Proxies, Client), page tokens, and
// keeping credentials out of URLs and logs (TokenInURL, SafeURL).
//
// It doesn't own any endpoint, doesn't decide anything about sessions or keys, and
// doesn't log: Edge reports refusals to whoever does.
package wire
