package wire

import (
	"net/http"
	"strings"
)

// Host returns the host that r was sent to as settings spell one: in lower case, without
// the port if it is the usual one of http or https. It is the Host header and nothing
// else: X-Forwarded-Host is whatever a stranger wrote, unless a proxy takes care, and a
// proxy that does can pass the Host itself. It is for comparing only, and never shown.
func Host(r *http.Request) string {
	host := strings.ToLower(r.Host)
	for _, usual := range []string{":443", ":80"} {
		if name, ok := strings.CutSuffix(host, usual); ok {
			return name
		}
	}
	return host
}
