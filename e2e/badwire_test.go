package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
)

// raw sends bytes that no HTTP client would, and reads one answer. The server may stop
// reading at any time.
func (p *process) raw(t *testing.T, parts ...io.Reader) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	go io.Copy(conn, io.MultiReader(parts...))
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: r.StatusCode, header: r.Header, body: body}
}

// TestLargeInput sends more than the server takes, in each place.
func TestLargeInput(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set := p.signIn(i.in, "alice@example.com")
	refreshTo := "POST " + i.in.user("/session/refresh") + " HTTP/1.1\r\nHost: x\r\n"
	zeros := func(n int) io.Reader { return io.LimitReader(endless{}, int64(n)) }
	chunked := func(chunks int) io.Reader {
		one := "10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n"
		return strings.NewReader(strings.Repeat(one, chunks) + "0\r\n\r\n")
	}
	announce := func(n int) io.Reader {
		return strings.NewReader(fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", refreshTo, n))
	}
	for name, a := range map[string]answer{
		"a byte too many":      p.raw(t, announce(1<<20+1), zeros(1<<20+1)),
		"10 MB":                p.raw(t, announce(10<<20), zeros(10<<20)),
		"announced only":       p.raw(t, announce(1<<40)),
		"10 MB in chunks":      p.raw(t, strings.NewReader(refreshTo+"Transfer-Encoding: chunked\r\n\r\n"), chunked(160)),
		"long authorization":   p.raw(t, strings.NewReader(refreshTo+"Authorization: Bearer "+strings.Repeat("a", 17<<10)+"\r\nContent-Length: 0\r\n\r\n")),
		"long query":           p.raw(t, strings.NewReader("GET "+i.in.user("/sessions?pageToken=")+strings.Repeat("a", 9<<10)+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+set.SessionToken+"\r\n\r\n")),
		"10 MB for a manager":  p.raw(t, strings.NewReader("PATCH "+i.in.api("/settings")+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+i.in.ManagementKey+"\r\nContent-Length: 10485760\r\n\r\n"), zeros(10<<20)),
		"a body as long as ok": p.raw(t, announce(1<<20), zeros(1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a body as long as ok" {
				a.refused(t, http.StatusBadRequest, latchkey.CodeInvalidRequest, false)
				return
			}
			a.refused(t, http.StatusRequestEntityTooLarge, latchkey.CodeTooLarge, false)
		})
	}
	p.ask(refresh(i.in, set.RefreshToken)).must(t, nil)
}

// endless is spaces without end, so that nothing but their number is wrong.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for n := range b {
		b[n] = ' '
	}
	return len(b), nil
}

// TestHugeHeaders sends headers over the limit of the connection. There is no request
// yet that a problem could be about, so HTTP's own status is the answer.
func TestHugeHeaders(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	for name, headers := range map[string]string{
		"one":      "Cookie: " + strings.Repeat("a", 64<<10) + "\r\n",
		"many":     strings.Repeat("X-Filler: aaaaaaaaaaaaaaaa\r\n", 4<<10),
		"a target": "X: y\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			target := "/livez"
			if name == "a target" {
				target += "?" + strings.Repeat("a", 64<<10)
			}
			a := p.raw(t, strings.NewReader("GET "+target+" HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n"))
			if a.status != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("the answer is %d: %.200s", a.status, a.body)
			}
		})
	}
	p.ask(call{method: "GET", path: "/livez"}).must(t, nil)
}

// TestBrokenHTTP sends what can be understood in two ways, or not at all.
func TestBrokenHTTP(t *testing.T) {
	t.Parallel()
	i := newWorld(t).install()
	p := i.serve()
	set := p.signIn(i.in, "alice@example.com")
	auth := "Authorization: Bearer " + set.SessionToken + "\r\n"
	get := "GET " + i.in.user("/session") + " HTTP/1.1\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"no HTTP":         {"hello\r\n\r\n", 400},
		"no host":         {get + auth + "\r\n", 400},
		"two hosts":       {get + "Host: a\r\nHost: b\r\n" + auth + "\r\n", 400},
		"two lengths":     {"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		"smuggled length": {"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400},
		"odd encoding":    {"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: cow\r\n\r\n", 501},
		"two credentials": {get + "Host: x\r\n" + auth + auth + "\r\n", 401},
		"NUL in a header": {get + "Host: x\r\nX: a\x00b\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			if a := p.raw(t, strings.NewReader(c.request)); a.status != c.status {
				t.Errorf("the answer is %d, want %d: %.200s", a.status, c.status, a.body)
			}
		})
	}
	// A cleaned path must not become another site's address.
	a := p.raw(t, strings.NewReader("GET //evil.example/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n"))
	if to := a.header.Get("Location"); strings.HasPrefix(to, "//") || strings.Contains(to, "://") {
		t.Errorf("the answer is %d and leads to %q", a.status, to)
	}
}
