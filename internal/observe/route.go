package observe

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Aborted is the status of a request whose handler ended in a panic, so that the
// connection was cut.
const Aborted = 0

// Route counts the requests of one route.
type Route struct {
	metrics  *Metrics
	pattern  string
	duration prometheus.Observer

	// The series by method and status appear as they occur: most pairs never do. The
	// map is copied to be changed, so that counting takes no lock.
	mu     sync.Mutex
	series atomic.Pointer[map[outcome]prometheus.Counter]
}

type outcome struct {
	method string
	status int
}

// Route returns the counters of a route. The pattern is a label: it is the route's
// ("/{project}/session/refresh"), never a path that somebody asked for.
func (m *Metrics) Route(pattern string) *Route {
	r := &Route{metrics: m, pattern: pattern, duration: m.duration.WithLabelValues(pattern)}
	r.series.Store(&map[outcome]prometheus.Counter{})
	return r
}

// Wrap counts and times the requests that next answers. It wraps the ResponseWriter, so
// handlers that stream use http.ResponseController.
func (r *Route) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.metrics.inFlight.Inc()
		start := time.Now()
		out := recorder{ResponseWriter: w}
		finished := false
		defer func() { // a panic passes, and is counted too
			r.metrics.inFlight.Dec()
			status := out.status
			switch {
			case !finished:
				status = Aborted
			case status == 0:
				status = http.StatusOK // as net/http does when nothing was written
			}
			r.Served(req.Method, status, time.Since(start))
		}()
		next.ServeHTTP(&out, req)
		finished = true
	})
}

// Served counts a request that took d. Methods and statuses that HTTP doesn't know are
// counted as "other": a method may be anything that a client sends.
func (r *Route) Served(method string, status int, d time.Duration) {
	key := outcome{knownMethod(method), status}
	if status != Aborted && (status < 100 || status > 599) {
		key.status = -1
	}
	c, ok := (*r.series.Load())[key]
	if !ok {
		c = r.add(key)
	}
	c.Inc()
	r.duration.Observe(d.Seconds())
}

func (r *Route) add(key outcome) prometheus.Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	status := strconv.Itoa(key.status)
	switch key.status {
	case Aborted:
		status = "aborted"
	case -1:
		status = other
	}
	c := r.metrics.requests.WithLabelValues(r.pattern, key.method, status)
	series := maps.Clone(*r.series.Load())
	series[key] = c
	r.series.Store(&series)
	return c
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return other
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController find what the writer underneath can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader passes the status on. An informational one (1xx) isn't the answer's.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}
