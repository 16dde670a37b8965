package latchkey

import (
	"context"
	"errors"
	"net/http"
)

// noTokens is the TokenStore of a Middleware that takes tokens from headers only.
type noTokens struct{}

var errHeaderOnly = errors.New("latchkey: this Middleware takes tokens from headers only")

// Load finds nothing.
func (noTokens) Load(*http.Request) (HeldTokens, error) { return HeldTokens{}, nil }

// Save fails: to sign in is to keep tokens.
func (noTokens) Save(http.ResponseWriter, *http.Request, TokenSet) error { return errHeaderOnly }

// Clear has nothing to do.
func (noTokens) Clear(http.ResponseWriter, *http.Request) error { return nil }

// Tidy has nothing to do.
func (noTokens) Tidy(http.ResponseWriter, *http.Request, string, string) error { return nil }

// noServer is the client of a Middleware that was given none.
type noServer struct{}

// Refresh fails.
func (noServer) Refresh(context.Context, RefreshRequest) (TokenSet, error) {
	return TokenSet{}, errHeaderOnly
}

// Logout fails.
func (noServer) Logout(context.Context, string) error {
	return errors.New("latchkey: to sign out, the Middleware needs a Client")
}
