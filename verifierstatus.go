package latchkey

import (
	"fmt"
	"io"
	"strings"
)

// VerifierStatus is what a Verifier knows of its sources at one moment.
type VerifierStatus struct {
	Keys  KeySetStatus
	Feed  FeedStatus // Mode "off" without a feed
	Cache CacheStatus
}

// Status returns the state of keys, feed and cache.
func (v *Verifier) Status() VerifierStatus {
	s := VerifierStatus{Keys: v.keys.Status(), Feed: FeedStatus{Mode: "off"}, Cache: v.cache.status()}
	if v.feed != nil {
		s.Feed = v.feed.Status()
	}
	return s
}

// WriteMetrics writes the counters and gauges of v in the text format of Prometheus, to
// be appended to the other metrics of a process. The names start with latchkey_sdk_.
func (v *Verifier) WriteMetrics(w io.Writer) error {
	s := v.Status()
	var m metricsText
	m.head("verified_total", "counter", "Session tokens that were checked, by outcome.")
	m.labelled("verified_total", "outcome", "ok", float64(v.accepted.sum()))
	for _, r := range allReasons() {
		m.labelled("verified_total", "outcome", string(r), float64(v.refused[r].Load()))
	}
	m.metric("verified_cache_entries", "gauge", "Verified tokens that are kept.", float64(s.Cache.Entries))
	m.metric("verified_cache_bytes", "gauge", "Memory of the verified tokens that are kept.", float64(s.Cache.Bytes))
	m.metric("verified_cache_hits_total", "counter", "Tokens that were found among the verified ones.", float64(s.Cache.Hits))
	m.metric("verified_cache_misses_total", "counter", "Tokens that were not.", float64(s.Cache.Misses))

	m.metric("keys", "gauge", "Usable keys of the key set.", float64(s.Keys.Keys))
	m.metric("keys_age_seconds", "gauge", "Time since the key set was last fetched.", s.Keys.Age.Seconds())
	m.metric("keys_fetches_total", "counter", "Attempts to fetch the key set.", float64(s.Keys.Fetches))
	m.metric("keys_fetch_failures_total", "counter", "Attempts to fetch the key set that failed.", float64(s.Keys.Failures))
	m.metric("clock_offset_seconds", "gauge", "How far the server's clock is ahead, to a second.", s.Keys.ClockOffset.Seconds())
	if v.feed != nil {
		m.feed(s.Feed)
	}
	_, err := io.WriteString(w, m.String())
	return err
}

// metricsText collects metrics in the text format of Prometheus. No name, help or label
// here has a character that would have to be escaped.
type metricsText struct{ strings.Builder }

func (m *metricsText) head(name, kind, help string) {
	fmt.Fprintf(m, "# HELP latchkey_sdk_%s %s\n# TYPE latchkey_sdk_%s %s\n", name, help, name, kind)
}

func (m *metricsText) metric(name, kind, help string, value float64) {
	m.head(name, kind, help)
	fmt.Fprintf(m, "latchkey_sdk_%s %g\n", name, value)
}

func (m *metricsText) labelled(name, label, value string, n float64) {
	fmt.Fprintf(m, "latchkey_sdk_%s{%s=%q} %g\n", name, label, value, n)
}

func (m *metricsText) feed(s FeedStatus) {
	complete := 0.0
	if s.Complete {
		complete = 1
	}
	m.metric("feed_complete", "gauge", "1 when all revocations that matter are known.", complete)
	m.metric("feed_lag_seconds", "gauge", "Longest time from a revocation to its arrival here in the last minute.", s.Lag.Seconds())
	m.metric("feed_silence_seconds", "gauge", "Time since anything was heard from the revocation feed.", s.Silence.Seconds())
	m.metric("feed_entries", "gauge", "Revocations that still matter.", float64(s.Entries))
	m.metric("feed_reconnects_total", "counter", "Connections to the revocation feed after the first.", float64(s.Reconnects))
}
