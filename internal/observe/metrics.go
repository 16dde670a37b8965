package observe

import (
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// Limit is a limit that a request ran into.
type Limit string

// The limits.
const (
	SessionLimit Limit = "session" // of refreshes of one session
	NetworkLimit Limit = "network" // of requests from one network
)

// Kind is a kind of rows that are removed when they are old.
type Kind string

// The kinds.
const (
	Sessions    Kind = "session"
	Events      Kind = "event"
	Revocations Kind = "revocation"
	Deliveries  Kind = "delivery"   // to webhooks, of events that are too old
	Projects    Kind = "project"    // of deleted projects: all that they had
	Grants      Kind = "grant"      // of deleted roles and tenants
	Permissions Kind = "permission" // deleted ones; the count is of roles that may have had them
)

// Task is work that a server does by itself, again and again.
type Task string

// The tasks.
const (
	Sweep Task = "sweep" // removes old rows
	Keys  Task = "keys"  // moves signing keys through their life
)

// other is the label of what no list has: the number of series must not depend on what
// is asked of the server, and nothing may go uncounted.
const other = "other"

// Metrics counts what a server does. Every label comes from a closed set, so the number
// of series is bounded. It has a registry of its own and is safe for concurrent use; the
// methods of the hot path take no lock and allocate nothing.
type Metrics struct {
	registry *prometheus.Registry
	process  *prometheus.Registry

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge

	refreshes   []prometheus.Counter // by session.Rule; nil for rules that are no refresh's
	otherRule   prometheus.Counter
	created     prometheus.Counter
	ended       map[session.Reason]prometheus.Counter
	otherReason prometheus.Counter
	limited     map[Limit]prometheus.Counter
	flagged     map[claim.LintPolicy]prometheus.Counter

	commitSeconds, commitCalls prometheus.Histogram

	feedSubscribers         prometheus.Gauge
	feedSnapshots, feedSent prometheus.Counter
	feedLag                 prometheus.Histogram

	webhooks map[string]prometheus.Counter

	swept      map[Kind]prometheus.Counter
	taskDone   map[Task]prometheus.Gauge
	taskFailed map[Task]prometheus.Counter
}

// NewMetrics returns the metrics of a server of the given version.
func NewMetrics(version string) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry(), process: prometheus.NewRegistry()}
	r := registration{to: m.registry}
	m.requests = r.counters("http_requests_total", "HTTP requests answered, by route, method and status. A request that was cut off has the status \"aborted\".", "route", "method", "status")
	m.duration = r.histograms("http_request_duration_seconds", "Time from the arrival of a request to the end of its answer.", secondsOf(500*time.Microsecond, 5*time.Second), "route")
	m.inFlight = r.gauges("http_in_flight_requests", "HTTP requests that are being answered.").WithLabelValues()

	m.countRefreshes(r.counters("refreshes_total", "Refreshes decided, by verdict.", "verdict"))
	m.created = r.counters("sessions_created_total", "Sessions created.").WithLabelValues()
	ended := r.counters("sessions_ended_total", "Active sessions ended before they ran out, by reason.", "reason")
	m.ended, m.otherReason = children(ended, reasons()...), ended.WithLabelValues(other)
	m.limited = children(r.counters("rate_limited_total", "Requests refused because of a limit.", "limit"), SessionLimit, NetworkLimit)
	m.flagged = children(r.counters("claims_flagged_total", "Sign-ins and changes of claims that hold what looks like personal data or a secret, by what was done about it.", "policy"), claim.LintWarn, claim.LintReject)

	m.commitSeconds = r.histogram("store_commit_duration_seconds", "Time from the start of a write transaction until it is on disk.", secondsOf(100*time.Microsecond, time.Second))
	m.commitCalls = r.histogram("store_commit_batch_size", "Writing calls that one transaction served.", prometheus.ExponentialBuckets(1, 2, 10))

	m.feedSubscribers = r.gauges("feed_subscribers", "Streams and polls of the revocation feed that are under way.").WithLabelValues()
	m.feedSnapshots = r.counters("feed_snapshots_total", "Readers of the revocation feed that began anew, since their place wasn't known.").WithLabelValues()
	m.feedSent = r.counters("feed_entries_sent_total", "Entries of the revocation feed sent, to all subscribers together.").WithLabelValues()
	m.feedLag = r.histogram("feed_lag_seconds", "Time from a revocation until it is sent to a subscriber that had caught up.", secondsOf(time.Millisecond, 5*time.Second))

	m.webhooks = children(r.counters("webhook_attempts_total", "Attempts to deliver to a webhook, by what came of them.", "outcome"), "delivered", "failed", "dead")

	m.swept = children(r.counters("swept_total", "Old rows removed, by kind.", "kind"), Sessions, Events, Revocations, Deliveries, Projects, Grants, Permissions)
	m.taskDone = children(r.gauges("task_last_success_timestamp_seconds", "When a background task last succeeded; 0 before its first time.", "task"), Sweep, Keys)
	m.taskFailed = children(r.counters("task_failures_total", "Failed runs of a background task.", "task"), Sweep, Keys)

	r.gauges("build_info", "Always 1; its labels say what runs.", "version", "goversion").WithLabelValues(version, runtime.Version()).Set(1)
	r.add(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.process)
	return m, r.err
}

// reasons returns why sessions end.
func reasons() []session.Reason {
	return []session.Reason{session.Logout, session.Ended, session.Reused, session.UserDisabled, session.UserDeleted,
		session.OverLimit, session.Superseded, session.KeyRevoked,
		session.TenantDisabled, session.TenantDeleted, session.ProjectDisabled}
}

func (m *Metrics) countRefreshes(vec *prometheus.CounterVec) {
	m.otherRule = vec.WithLabelValues(other)
	for rule := session.Create; rule.Word() != "unknown"; rule++ {
		m.refreshes = append(m.refreshes, nil)
		if rule != session.Create && rule != session.Confirm && rule != session.End { // these come out of no refresh
			m.refreshes[rule] = vec.WithLabelValues(rule.Word())
		}
	}
}

// Refreshed counts the verdict on a refresh. A theft counts as an ended session too.
func (m *Metrics) Refreshed(rule session.Rule) {
	if int(rule) >= len(m.refreshes) || m.refreshes[rule] == nil {
		m.otherRule.Inc()
		return
	}
	m.refreshes[rule].Inc()
	if rule == session.Theft {
		m.SessionsEnded(session.Reused, 1)
	}
}

// SessionCreated counts a sign-in.
func (m *Metrics) SessionCreated() { m.created.Inc() }

// SessionsEnded counts n sessions that were active until now.
func (m *Metrics) SessionsEnded(why session.Reason, n int) {
	if c, ok := m.ended[why]; ok {
		count(c, n)
		return
	}
	count(m.otherReason, n)
}

// RateLimited counts a request that was refused because of a limit.
func (m *Metrics) RateLimited(by Limit) { count(m.limited[by], 1) }

// ClaimsFlagged counts a call whose claims look like personal data or secrets.
func (m *Metrics) ClaimsFlagged(policy claim.LintPolicy) { count(m.flagged[policy], 1) }

// Committed notes a write transaction that served so many calls and took d to be on disk.
func (m *Metrics) Committed(calls int, d time.Duration) {
	m.commitSeconds.Observe(d.Seconds())
	m.commitCalls.Observe(float64(calls))
}

// FeedSubscribed notes that subscribers of the revocation feed have come or gone.
func (m *Metrics) FeedSubscribed(change int) { m.feedSubscribers.Add(float64(change)) }

// FeedSnapshot counts a reader of the feed that began anew.
func (m *Metrics) FeedSnapshot() { m.feedSnapshots.Inc() }

// FeedSent counts an entry that was sent so long after it was written; a negative time
// is that of a subscriber that wasn't there when it was written.
func (m *Metrics) FeedSent(lag time.Duration) {
	m.feedSent.Inc()
	if lag >= 0 {
		m.feedLag.Observe(lag.Seconds())
	}
}

// WebhookSent counts an attempt to deliver an event; see webhook.Meter.
func (m *Metrics) WebhookSent(outcome string) { count(m.webhooks[outcome], 1) }

// Swept counts n rows that were removed because they are old.
func (m *Metrics) Swept(kind Kind, n int) { count(m.swept[kind], n) }

// TaskRan notes a run of a background task that ended at now.
func (m *Metrics) TaskRan(task Task, err error, now time.Time) {
	if err != nil {
		count(m.taskFailed[task], 1)
	} else if g, ok := m.taskDone[task]; ok {
		g.Set(float64(now.UnixMilli()) / 1000)
	}
}

// count adds n to c. Less than nothing is a bug of the caller, and nothing to stop the
// server for, as a counter would; neither is a label that isn't ours.
func count(c prometheus.Counter, n int) {
	if c != nil && n > 0 {
		c.Add(float64(n))
	}
}

// processNames returns what is told of the process. The client library knows more, but
// every metric is one that somebody has to understand.
func processNames() []string {
	return []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds",
		"process_open_fds", "process_max_fds"}
}

// Gather returns all metrics, as prometheus.Gatherer wants it.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) {
	process := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := m.process.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool {
			return !slices.Contains(processNames(), f.GetName())
		}), err
	})
	return prometheus.Gatherers{m.registry, process}.Gather()
}

// Handler serves the metrics in the formats that Prometheus reads. It answers at most
// four requests at a time, because each of them costs more than a refresh.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}
