package e2e

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// office is an application with the SDK in front of a server, and somebody who is signed
// in there with a browser's cookies.
type office struct {
	w       *world
	client  *latchkey.Client
	site    *httptest.Server
	browser *http.Client
	user    string
	session string
}

// office makes an application whose pages want what needs say, by their paths.
func (w *world) office(p *process, needs map[string]latchkey.Requirement) *office {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	o := &office{w: w}
	var err error
	o.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: p.ready.Issuer, Key: p.ready.ManagementKey})
	must(err)
	verifier, err := latchkey.NewVerifier(latchkey.VerifierConfig{Issuer: p.ready.Issuer, Key: p.ready.VerifyKey})
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- verifier.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		<-done
	})
	app, err := latchkey.NewMiddleware(latchkey.MiddlewareConfig{Verifier: verifier, Client: o.client})
	must(err)
	set, err := o.client.CreateSession(w.t.Context(), latchkey.SignInRequest{
		User: latchkey.UserDescribed(latchkey.SignInUser{LoginIDs: &[]string{"grace@example.com"}}), AMR: []string{"pwd"},
	})
	must(err)
	w.keep([]byte(set.SessionToken + " " + set.RefreshToken))
	o.user, o.session = set.Session.User, set.Session.ID

	mux := http.NewServeMux()
	page := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, _ := latchkey.FromContext(r.Context())
		rw.Header().Set("Session", c.SessionID)
	})
	for path, need := range needs {
		mux.Handle("GET "+path, app.Require(need)(page))
	}
	mux.Handle("POST /sign-in", app.Optional(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := app.SignIn(rw, r, set); err != nil {
			w.t.Errorf("signing in: %v", err)
		}
	})))
	o.site = httptest.NewServer(mux)
	w.t.Cleanup(o.site.Close)
	o.browser = o.site.Client()
	o.browser.Jar, err = cookiejar.New(nil)
	must(err)
	w.await("the feed is heard", func() bool { return verifier.Status().Feed.Complete })
	if status, _ := o.visit("POST", "/sign-in"); status != http.StatusOK {
		w.t.Fatalf("signing in: %d", status)
	}
	return o
}

// visit sends a request of the browser, and returns the answer's status and whose session
// the page was shown to.
func (o *office) visit(method, path string) (status int, session string) {
	o.w.t.Helper()
	r, err := http.NewRequestWithContext(o.w.t.Context(), method, o.site.URL+path, nil)
	if err != nil {
		o.w.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := o.browser.Do(r)
	if err != nil {
		o.w.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header.Get("Session")
}

// becomes fails unless requests for a page are answered so within a second of a change,
// and stay so.
func (o *office) becomes(what, path string, want int, change func() error) {
	o.w.t.Helper()
	if err := change(); err != nil {
		o.w.t.Fatalf("%s: %v", what, err)
	}
	changed := time.Now()
	status, session := 0, ""
	o.w.await(what+" shows", func() bool {
		status, session = o.visit("GET", path)
		return status == want || time.Since(changed) > 5*time.Second
	})
	took := time.Since(changed)
	if status != want || took > time.Second {
		o.w.t.Errorf("%s: %d after %v, want %d within a second", what, status, took, want)
	}
	if want == http.StatusOK && session != o.session {
		o.w.t.Errorf("%s: the page is shown to the session %q, not to %q", what, session, o.session)
	}
	if again, _ := o.visit("GET", path); again != status {
		o.w.t.Errorf("%s: %d, and then %d", what, status, again)
	}
	o.w.t.Logf("%s: %v", what, took)
}

// TestGrantsReachLiveSessions: what somebody may do changes while they are signed in, and
// their next request is judged by it, in an application that checks tokens by itself. The
// session goes on, unless its own tenant is gone.
func TestGrantsReachLiveSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	manager, err := latchkey.NewClient(latchkey.ClientConfig{Issuer: p.ready.Issuer, Key: p.ready.ManagementKey})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = manager.CreatePermission(ctx, latchkey.PermissionRequest{Name: "e2e:report"})
	must(err)
	role, err := manager.CreateRole(ctx, latchkey.RoleRequest{Name: "e2e reporter", Permissions: []string{"e2e:report"}})
	must(err)
	tenant, err := manager.CreateTenant(ctx, latchkey.TenantRequest{Name: new("Globex")})
	must(err)
	o := w.office(p, map[string]latchkey.Requirement{
		"/reports": {Permissions: []string{"e2e:report"}}, "/reporters": {Roles: []string{"e2e reporter"}}, "/globex": {Tenant: tenant.ID},
	})
	for _, path := range []string{"/reports", "/reporters", "/globex"} {
		if status, _ := o.visit("GET", path); status != http.StatusForbidden {
			t.Fatalf("%s before anything is granted: %d", path, status)
		}
	}
	o.becomes("a role that is granted", "/reports", http.StatusOK, func() error {
		_, err := o.client.SetUserRoles(ctx, o.user, role.ID)
		return err
	})
	o.becomes("a permission that is taken from a role", "/reports", http.StatusForbidden, func() error {
		_, err := o.client.ChangeRole(ctx, role.ID, latchkey.RoleChange{Permissions: &[]string{}})
		return err
	})
	o.becomes("a permission that is given to a role", "/reports", http.StatusOK, func() error {
		_, err := o.client.ChangeRole(ctx, role.ID, latchkey.RoleChange{Permissions: &[]string{"e2e:report"}})
		return err
	})
	o.becomes("a role that gets another name", "/reporters", http.StatusForbidden, func() error {
		_, err := o.client.ChangeRole(ctx, role.ID, latchkey.RoleChange{Name: new("e2e writer")})
		return err
	})
	o.becomes("a role that is deleted", "/reports", http.StatusForbidden, func() error { return o.client.DeleteRole(ctx, role.ID) })
	o.becomes("a membership", "/globex", http.StatusOK, func() error {
		_, err := o.client.SetMembership(ctx, o.user, tenant.ID)
		return err
	})
	o.becomes("a membership that ends", "/globex", http.StatusForbidden, func() error { return o.client.DeleteMembership(ctx, o.user, tenant.ID) })
	o.becomes("a membership that comes back", "/globex", http.StatusOK, func() error {
		_, err := o.client.SetMembership(ctx, o.user, tenant.ID)
		return err
	})
	o.becomes("a tenant that is disabled", "/globex", http.StatusUnauthorized, func() error {
		_, err := o.client.ChangeTenant(ctx, tenant.ID, latchkey.TenantRequest{Status: new("disabled")})
		return err
	})
}

// TestAccessKeysPage does what docs/access-keys.md tells.
func TestAccessKeysPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("dev", "--addr", "127.0.0.1:0")
	in := tenancy{ID: p.ready.Project, ManagementKey: p.ready.ManagementKey}
	blocks := shellBlocks(t, "access-keys.md")
	if len(blocks) != 3 {
		t.Fatalf("the page has other commands than this test knows: %q", blocks)
	}
	out := w.bash("export API=" + p.ready.URL + "/v1/projects/" + in.ID + " KEY=" + in.ManagementKey + " ISSUER=" + p.ready.Issuer + "\n" + strings.Join(blocks, "\n"))
	for _, want := range []string{
		`{"sessionToken":"eyJ`, `"accessKey":"ak_`, `"roles":[]`, `"status":"disabled"`, `"status":"enabled"`, `{"keys":[{"id":"ak_`, `"name":"nightly import"`, `"lastUsedAt":"2`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands don't print %s:\n%s", want, out)
		}
	}
	if strings.Contains(out, `"code":"`) {
		t.Errorf("something was refused:\n%s", out)
	}
	got := claims(t, firstMatch(out, `eyJ[\w-]+\.[\w-]+\.[\w-]+`))
	if nsec, _ := got["nsec"].(map[string]any); got["team"] != "data" || nsec["job"] != "import-7" || got["sid"] != nil {
		t.Errorf("the token says %v", got)
	}
}
