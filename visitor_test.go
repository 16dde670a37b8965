package latchkey_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"
)

// pretended stands for the *testing.T that latchkeytest wants: examples have none.
type pretended struct {
	testing.TB
	cleanups []func()
}

func (p *pretended) Helper()                      {}
func (p *pretended) Cleanup(f func())             { p.cleanups = append(p.cleanups, f) }
func (p *pretended) Errorf(f string, args ...any) { fmt.Printf(f+"\n", args...) }
func (p *pretended) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (p *pretended) end() {
	for n := len(p.cleanups) - 1; n >= 0; n-- {
		p.cleanups[n]()
	}
}

// visitor is a browser as far as net/http goes. It follows no redirects.
type visitor struct {
	at   string
	http *http.Client
}

func newVisitor(server *httptest.Server) *visitor {
	v := &visitor{at: server.URL, http: server.Client()}
	v.http.Jar, _ = cookiejar.New(nil)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

// visit prints what the answer to opening a page or submitting a form is.
func (v *visitor) visit(method, path string) {
	r, _ := http.NewRequest(method, v.at+path, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	v.print(r)
}

// call prints what the answer to a call with a token in the header is.
func (v *visitor) call(method, path, token string) {
	r, _ := http.NewRequest(method, v.at+path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	v.print(r)
}

func (v *visitor) print(r *http.Request) {
	res, err := v.http.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	line := fmt.Sprint(r.Method, " ", r.URL.Path, ": ", res.StatusCode)
	for _, name := range []string{"Location", "WWW-Authenticate"} {
		if value := res.Header.Get(name); value != "" {
			line += ", " + name + ": " + value
		}
	}
	fmt.Println(line)
}
