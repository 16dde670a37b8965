package native

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// jwksAge is how long a key set may be cached. A new key is published a day before it
// signs, so even a cache that forgets nothing for hours never meets an unknown key.
const jwksAge = 5 * time.Minute

const jwkSetMedia = "application/jwk-set+json" // RFC 7517, 8.5.2

type jwks struct {
	Keys []map[string]any `json:"keys"`
}

// metadata is what both discovery documents hold (RFC 8414, OpenID Connect Discovery
// 1.0). A member appears once the endpoint exists.
type metadata struct {
	Issuer                 string   `json:"issuer"`
	JWKSURI                string   `json:"jwks_uri"`
	ResponseTypesSupported []string `json:"response_types_supported" description:"Empty: no authorization endpoint."`
	SubjectTypesSupported  []string `json:"subject_types_supported"`
	IDTokenSigningAlgs     []string `json:"id_token_signing_alg_values_supported"`
	GrantTypesSupported    []string `json:"grant_types_supported"`
	RefreshEndpoint        string   `json:"latchkey_refresh_endpoint" description:"POST /session/refresh of this API."`
	LogoutEndpoint         string   `json:"latchkey_logout_endpoint" description:"POST /session/logout of this API."`
}

func (f *Face) discoveryRoutes() []Route {
	return []Route{
		{
			Method: "GET", Pattern: "/{project}/.well-known/jwks.json", ID: "getJWKS", Tag: tagDiscovery,
			Summary: "The public keys that session tokens are verified with (RFC 7517)", Answer: jwks{}, Media: jwkSetMedia,
			serve: f.jwks,
		},
		{
			Method: "GET", Pattern: "/{project}/.well-known/openid-configuration", ID: "getOpenIDConfiguration", Tag: tagDiscovery,
			Summary: "Discovery document (OpenID Connect Discovery)", Answer: metadata{}, serve: f.metadata,
		},
		{
			Method: "GET", Pattern: "/{project}/.well-known/oauth-authorization-server", ID: "getAuthorizationServerMetadata", Tag: tagDiscovery,
			Summary: "Discovery document (RFC 8414)", Answer: metadata{}, serve: f.metadata,
		},
	}
}

func (f *Face) jwks(w http.ResponseWriter, r *http.Request) error {
	p, err := pathProject(r)
	if err != nil {
		return err
	}
	body, tag, err := f.d.Tokens.JWKS(r.Context(), p)
	if err != nil {
		return err
	}
	wire.Cacheable(w.Header(), jwksAge)
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", jwkSetMedia)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Write(body)
	return nil
}

// matches compares an If-None-Match header with an entity tag, weakly (RFC 9110,
// 13.1.2).
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

func (f *Face) metadata(w http.ResponseWriter, r *http.Request) error {
	p, err := pathProject(r)
	if err != nil {
		return err
	}
	algorithms, err := f.algorithms(r.Context(), p)
	if err != nil {
		return err
	}
	issuer := f.d.Tokens.Issuer(p)
	wire.Cacheable(w.Header(), jwksAge)
	return wire.JSON(w, http.StatusOK, metadata{
		Issuer: issuer, JWKSURI: issuer + "/.well-known/jwks.json",
		ResponseTypesSupported: []string{}, SubjectTypesSupported: []string{"public"},
		IDTokenSigningAlgs:  algorithms,
		GrantTypesSupported: []string{},
		RefreshEndpoint:     issuer + "/session/refresh", LogoutEndpoint: issuer + "/session/logout",
	})
}

// algorithms returns those of the published keys. The setting may be ahead of them: a
// verifier that was told the new algorithm alone would refuse the tokens of today's key.
func (f *Face) algorithms(ctx context.Context, p id.Project) ([]string, error) {
	body, _, err := f.d.Tokens.JWKS(ctx, p)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct {
			Algorithm string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("reading our own key set: %w", err)
	}
	var out []string
	for _, k := range set.Keys {
		if !slices.Contains(out, k.Algorithm) {
			out = append(out, k.Algorithm)
		}
	}
	return out, nil
}
