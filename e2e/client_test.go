package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// call is one request. Members left out aren't sent.
type call struct {
	method, path string
	bearer       string
	body         any // a string as it is, anything else as JSON
	header       map[string]string
}

// answer is what came back.
type answer struct {
	call   call
	status int
	header http.Header
	body   []byte
}

// send sends a request. An error means that there was no whole answer. It may be called
// from any goroutine.
func (p *process) send(c call) (answer, error) {
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequest(c.method, p.url+c.path, body)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
		p.world.keep([]byte(c.bearer))
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	resp, err := p.world.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	p.world.keep(text)
	return answer{c, resp.StatusCode, resp.Header, text}, err
}

// ask sends a request and fails the test when there is no answer.
func (p *process) ask(c call) answer {
	p.world.t.Helper()
	a, err := p.send(c)
	if err != nil {
		p.world.t.Fatal(err)
	}
	return a
}

// get reads as an application that holds the key.
func (p *process) get(key, path string) answer {
	p.world.t.Helper()
	return p.ask(call{method: "GET", path: path, bearer: key})
}

// must fails the test unless the request was granted, and reads the answer.
func (a answer) must(t *testing.T, into any) answer {
	t.Helper()
	if a.status < 200 || a.status > 299 {
		t.Fatalf("%s %s answers %d: %s", a.call.method, a.call.path, a.status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			t.Fatalf("%s %s answers what can't be read: %v\n%s", a.call.method, a.call.path, err, a.body)
		}
	}
	return a
}

// problem returns the refusal, and an error unless it is one in every respect.
func (a answer) problem() (latchkey.Problem, error) {
	var p latchkey.Problem
	strict := json.NewDecoder(bytes.NewReader(a.body))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&p); err != nil {
		return p, err
	}
	retry := a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable
	switch {
	case a.header.Get("Content-Type") != "application/problem+json":
		return p, errors.New("its content type is " + a.header.Get("Content-Type"))
	case a.header.Get("Cache-Control") != "no-store":
		return p, errors.New("it may be stored: " + a.header.Get("Cache-Control"))
	case p.Status != a.status:
		return p, errors.New("its body says another status")
	case p.Type != "/docs/errors/"+string(p.Code) && !strings.HasSuffix(p.Type, "/docs/errors/"+string(p.Code)):
		return p, errors.New("its type is " + p.Type)
	case p.Title == "", p.Detail == "":
		return p, errors.New("it has no title or no detail")
	case p.RequestID == "", p.RequestID != a.header.Get("X-Request-Id"):
		return p, errors.New("its request id is missing or another")
	case a.status == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer "):
		return p, errors.New("a 401 without a challenge")
	case retry && a.header.Get("Retry-After") == "":
		return p, errors.New("it doesn't say when to try again")
	}
	return p, nil
}

// refused fails the test unless the request was refused in exactly this way.
func (a answer) refused(t *testing.T, status int, code latchkey.Code, terminal bool) latchkey.Problem {
	t.Helper()
	p, err := a.problem()
	if err != nil {
		t.Fatalf("%s %.80s answers %d, not as a problem should be: %v\n%.500s", a.call.method, a.call.path, a.status, err, a.body)
	}
	if p.Status != status || p.Code != code || p.Terminal != terminal {
		t.Fatalf("%s %.80s answers %d %s (terminal %v), want %d %s (terminal %v): %s",
			a.call.method, a.call.path, p.Status, p.Code, p.Terminal, status, code, terminal, a.body)
	}
	return p
}

// tenancy is a project with what an application has of it.
type tenancy struct {
	ID            string `json:"id"`
	ManagementKey string `json:"managementKey"`
	VerifyKey     string `json:"verifyKey"`
}

// api returns a path of the project's management API.
func (p tenancy) api(path string) string { return "/v1/projects/" + p.ID + path }

// user returns a path of the endpoints for the project's users.
func (p tenancy) user(path string) string { return "/" + p.ID + path }

// signIn makes a session for a login id, and its user if there is none yet.
func (p *process) signIn(in tenancy, login string) latchkey.TokenSet {
	p.world.t.Helper()
	var set latchkey.TokenSet
	p.ask(signIn(in, login)).must(p.world.t, &set)
	return set
}

func signIn(in tenancy, login string) call {
	return call{method: "POST", path: in.api("/sessions"), bearer: in.ManagementKey,
		body: map[string]any{"user": map[string]any{"loginIds": []string{login}}, "amr": []string{"pwd"}}}
}

// set changes settings of the project.
func (p *process) set(in tenancy, settings map[string]any) {
	p.world.t.Helper()
	p.ask(call{method: "PATCH", path: in.api("/settings"), bearer: in.ManagementKey, body: settings}).must(p.world.t, nil)
}

func refresh(in tenancy, token string) call {
	return call{method: "POST", path: in.user("/session/refresh"), bearer: token}
}

// trace returns the rules that were applied to a session, each as often as it was.
func (p *process) trace(in tenancy, sid string) []string {
	p.world.t.Helper()
	var trace latchkey.Trace
	a := p.get(in.ManagementKey, in.api("/sessions/"+sid+"/trace")).must(p.world.t, &trace)
	if what := p.world.leak(a.body); what != "" {
		p.world.t.Errorf("the trace holds %s", what)
	}
	var rules []string
	for _, e := range trace.Entries {
		if e.Why == "" || e.Count < 1 {
			p.world.t.Errorf("a trace entry explains nothing: %+v", e)
		}
		for range e.Count {
			rules = append(rules, e.Rule)
		}
	}
	return rules
}

// claims reads what a JWT says, without checking it.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	said, err := said(token)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func said(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

// windowOver waits until the reuse window of a session's last rotation is over, and
// whatever was replayed in it can't be under way any more.
func (w *world) windowOver(set latchkey.TokenSet, window time.Duration) {
	w.t.Helper()
	latest := set.Session.LastSeenAt
	if set.ServerTime.After(latest) {
		latest = set.ServerTime
	}
	w.awaitTime(latest.Add(window))
}
