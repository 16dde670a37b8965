package observe

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "latchkey"

// registration makes metrics and keeps what goes wrong, so that a list of metrics reads
// like one.
type registration struct {
	to  *prometheus.Registry
	err error
}

func (r *registration) add(c prometheus.Collector, to *prometheus.Registry) {
	r.err = errors.Join(r.err, to.Register(c))
}

func (r *registration) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.add(v, r.to)
	return v
}

func (r *registration) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.add(v, r.to)
	return v
}

func (r *registration) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	r.add(v, r.to)
	return v
}

func (r *registration) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	r.add(h, r.to)
	return h
}

// children looks the series of all label values up once, so that counting needs no
// search, and so that each is there from the start: a series that appears with its
// first event hides that event from every rate.
func children[L ~string, M any](vec interface{ WithLabelValues(...string) M }, labels ...L) map[L]M {
	all := make(map[L]M, len(labels))
	for _, label := range labels {
		all[label] = vec.WithLabelValues(string(label))
	}
	return all
}

// secondsOf returns the buckets 1, 2.5, 5, 10 and so on times a power of ten that lie
// from least to most.
func secondsOf(least, most time.Duration) []float64 {
	var buckets []float64
	for decade := 100 * time.Microsecond; decade <= most; decade *= 10 {
		for _, tenths := range []time.Duration{10, 25, 50} {
			if b := decade * tenths / 10; least <= b && b <= most {
				buckets = append(buckets, b.Seconds())
			}
		}
	}
	return buckets
}
