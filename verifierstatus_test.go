package latchkey

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricsOf reads what WriteMetrics writes as Prometheus does: values by name and label.
func metricsOf(t *testing.T, v *Verifier) map[string]float64 {
	t.Helper()
	var text strings.Builder
	if err := v.WriteMetrics(&text); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
	if err != nil {
		t.Fatalf("%v in %s", err, text.String())
	}
	values := map[string]float64{}
	for name, family := range families {
		if family.GetHelp() == "" || strings.HasSuffix(name, "_total") != (family.GetType().String() == "COUNTER") {
			t.Errorf("%s: %s, help %q", name, family.GetType(), family.GetHelp())
		}
		for _, m := range family.GetMetric() {
			key := strings.TrimPrefix(name, "latchkey_sdk_")
			for _, l := range m.GetLabel() {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestWriteMetrics(t *testing.T) {
	s := newTokenSigner(t, algEdDSA, "k1")
	f := &testFeed{}
	f.silent.Store(1_500_000_000)
	v := withFeed(t, staticConfig(t, s.keySet(t)), f)
	good := s.mint(t, nil)
	for range 3 {
		_, _ = v.Verify(t.Context(), good)
	}
	_, _ = v.Verify(t.Context(), s.mint(t, map[string]any{"exp": 1}))
	_, _ = v.Verify(t.Context(), "junk")
	_, _ = v.Verify(t.Context(), good, Requirement{Roles: []string{"admin"}})
	got := metricsOf(t, v)
	for name, want := range map[string]float64{
		"verified_total outcome=ok": 3, "verified_total outcome=expired": 1, "verified_total outcome=malformed": 1, "verified_total outcome=role": 1, "verified_total outcome=signature": 0,
		"verified_cache_entries": 1, "verified_cache_bytes": float64(v.cache.bytes), "verified_cache_hits_total": 3, "verified_cache_misses_total": 3,
		"keys": 1, "keys_age_seconds": 0, "keys_fetches_total": 0, "keys_fetch_failures_total": 0, "clock_offset_seconds": 0,
		"feed_complete": 1, "feed_lag_seconds": 0.25, "feed_silence_seconds": 1.5, "feed_entries": 3, "feed_reconnects_total": 2,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	if want := 1 + len(allReasons()) + 14; len(got) != want {
		t.Errorf("%d values, want %d: %v", len(got), want, got)
	}
}

// Without a feed there is nothing to say of it.
func TestWriteMetricsWithoutFeed(t *testing.T) {
	v := newTestVerifier(t, newTokenSigner(t, algEdDSA, "k1").keySet(t))
	for name := range metricsOf(t, v) {
		if strings.HasPrefix(name, "feed") {
			t.Errorf("there is %s", name)
		}
	}
	if st := v.Status(); st.Feed.Mode != "off" || st.Keys.Keys != 1 {
		t.Errorf("%+v", st)
	}
	if err := v.WriteMetrics(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }
