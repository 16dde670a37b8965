package native

import (
	"context"
	"net/http"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// caller is an application that has proven itself with a management key.
type caller struct {
	project id.Project
	key     directory.ManagementKey
	origin  audit.Origin
}

// managed makes a handler of one that needs a management key with a scope.
func (f *Face) managed(scope directory.Scope, serve func(w http.ResponseWriter, r *http.Request, c caller) error) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		credential, given, err := wire.Bearer(r)
		if err != nil {
			return err
		}
		if !given {
			return fault.New(fault.Unauthenticated, "A management key is wanted: Authorization: Bearer lk_mgmt_…")
		}
		project, err := pathProject(r)
		if err != nil {
			return err
		}
		client := f.d.Proxies.Client(r)
		k, err := f.d.Directory.Key(r.Context(), project, credential, client.IP, scope)
		if err != nil {
			return err
		}
		return serve(w, r, caller{project, k, f.origin(r.Context(), client, audit.KeyActor(k.ID))})
	}
}

func pathProject(r *http.Request) (id.Project, error) {
	p, err := id.ParseProject(r.PathValue("project"))
	if err != nil {
		return p, fault.New(fault.NotFound, "There is no such project.")
	}
	return p, nil
}

// presented is a token as an end user's client sent it.
type presented struct {
	token.Presentation
	client wire.Client
	key    directory.ManagementKey // of a trusted caller; zero ID: none
	tokens []secret.Text           // to be tried in this order; Token is the one at hand
	jar    *jar                    // of a token that came from a cookie, else nil
	beside bool                    // the jar holds other tokens of that kind, which nobody judges
}

// present reads what every end-user endpoint needs: the project, the client, and a token
// from the Authorization header, the body, or else the cookies, of the kinds that are
// asked for, the best first. An application that acts for the user sends its own key in
// the header, which needs the scope, and the token in the body.
func (f *Face) present(w http.ResponseWriter, r *http.Request, inBody string, scope directory.Scope, asked ...token.Kind) (presented, error) {
	project, err := pathProject(r)
	if err != nil {
		return presented{}, err
	}
	client := f.d.Proxies.Client(r)
	p := presented{client: client, Presentation: token.Presentation{
		Project: project, Token: secret.New(inBody),
		Context: session.Context{Network: client.Network, Agent: client.Agent},
		Origin:  f.origin(r.Context(), client, audit.System),
		Admit:   f.admitOnce(client),
	}}
	bearer, given, err := wire.Bearer(r)
	if err != nil {
		return presented{}, err
	}
	if given {
		if err := f.bearer(r, &p, bearer, scope); err != nil {
			return presented{}, err
		}
	}
	if !p.Token.IsZero() {
		p.tokens = []secret.Text{p.Token}
	}
	if err := f.taken(w, r, &p, asked); err != nil {
		return presented{}, err
	}
	if p.Token.IsZero() {
		return presented{}, fault.New(fault.Unauthenticated, "A token is wanted, as Authorization: Bearer …, as refreshToken in the body, or in the cookie of a project that delivers by cookie.")
	}
	return p, nil
}

// admitOnce asks the limiter once for a request, however many cookies it carries.
func (f *Face) admitOnce(c wire.Client) func() error {
	asked := false
	return func() error {
		if asked {
			return nil
		}
		asked = true
		return f.admit(f.d.Limiter, c)
	}
}

// bearer takes the Authorization header: an application's key, or the token itself.
func (f *Face) bearer(r *http.Request, p *presented, bearer secret.Text, scope directory.Scope) error {
	if secret.LooksLikeKey(bearer) {
		k, err := f.d.Directory.Key(r.Context(), p.Project, bearer, p.client.IP, scope)
		if err != nil {
			return err
		}
		p.key = k
		// The application answers for how often it asks.
		p.Admit = nil
		p.Origin.Actor = audit.KeyActor(k.ID)
		// The request comes from the application's network and agent. Compared with
		// the user's they would look like a second holder.
		p.Context = session.Context{}
		return nil
	}
	if !p.Token.IsZero() && !p.Token.Equal(bearer) {
		return fault.New(fault.Contradiction, "Two different tokens were sent.").WithFields(
			fault.Field{Pointer: "/refreshToken", Code: "contradiction", Detail: "The Authorization header holds another token."})
	}
	p.Token = bearer
	return nil
}

// public makes a handler of one for end users. What isn't authentic is limited by network
// apart from what is, so that junk from a shared network doesn't use up the others' share.
func (f *Face) public(serve wire.Handler) wire.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := serve(w, r)
		if fault.KindOf(err) != fault.Unauthenticated {
			return err
		}
		if limited := f.admit(f.d.Junk, f.d.Proxies.Client(r)); limited != nil {
			return limited
		}
		return err
	}
}

// admit asks a limiter.
func (f *Face) admit(by Limiter, c wire.Client) error {
	if ok, wait := by.Allow(c.Network, f.d.Now()); !ok {
		f.d.Counter.RateLimited("network")
		return fault.New(fault.RateLimited, "Too many requests came from your network; keep your tokens and try again later.").After(wait)
	}
	return nil
}

// deleting serves the deletion of what the path names: without a body, answered with
// nothing.
func deleting[ID any](path func(*http.Request) (ID, error), do func(context.Context, id.Project, ID, audit.Origin) error) func(http.ResponseWriter, *http.Request, caller) error {
	return func(w http.ResponseWriter, r *http.Request, c caller) error {
		if err := wire.Decode(r, wire.MaxBody, &nothing{}); err != nil {
			return err
		}
		which, err := path(r)
		if err != nil {
			return err
		}
		if err := do(r.Context(), c.project, which, c.origin); err != nil {
			return err
		}
		return wire.JSON(w, http.StatusOK, nothing{})
	}
}
