package server_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/revocation"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store"
)

// BenchmarkFeed measures how long after the call that ends a user's sessions begins
// each of many subscribers has read its entry: the commit to disk, the hub, and the
// server's writes. Subscribers share the machine, and are read in the same process.
func BenchmarkFeed(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprintf("%d subscribers", n), func(b *testing.B) { benchmarkFeed(b, n) })
	}
}

func benchmarkFeed(b *testing.B, n int) {
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dsn := "sqlite:" + filepath.Join(b.TempDir(), "l.db")
	_, _, err := store.Migrate(b.Context(), dsn, nil)
	must(err)
	bell := revocation.NewBell()
	st, err := store.Open(b.Context(), dsn, store.Options{OnRevocation: bell.Ring})
	must(err)
	defer st.Close()
	master, err := secret.ParseRing(secret.NewMasterKey())
	must(err)
	app, err := server.Assemble(st, master, publicURL, time.Now)
	must(err)
	metrics, err := observe.NewMetrics("1.2.3")
	must(err)
	srv, err := server.New(server.Deps{
		Config: config.Defaults(), App: app, Log: slog.New(slog.DiscardHandler), Metrics: metrics, PublicURL: publicURL, Version: "1.2.3", Revoked: bell,
	})
	must(err)
	p, err := app.CreateProject(b.Context(), "acme", operator)
	must(err)
	u, err := app.Directory.CreateUser(b.Context(), p.ID, directory.UserChange{LoginIDs: &[]string{"a"}}, operator)
	must(err)
	_, key, err := app.Directory.CreateKey(b.Context(), p.ID, directory.NewKey{Name: "v", Kind: secret.Verify}, directory.ManagementKey{}, operator)
	must(err)
	l := newPipes()
	go srv.Run(b.Context(), l)

	got := subscribers(b, l, n, p.ID, key.Reveal())
	lags := make([]time.Duration, 0, n*b.N)
	for b.Loop() {
		start := time.Now()
		_, err := st.Bulk().EndAll(b.Context(), p.ID, u.ID, id.Session{}, session.Ending{Reason: session.Ended, Origin: audit.Origin{Actor: audit.CLI}})
		must(err)
		for range n {
			lags = append(lags, (<-got).Sub(start))
		}
	}
	slices.Sort(lags)
	b.ReportMetric(lags[len(lags)/2].Seconds()*1000, "p50-ms")
	b.ReportMetric(lags[len(lags)*99/100].Seconds()*1000, "p99-ms")
}

// subscribers starts n, waits until all have caught up, and returns when each of them
// reads an entry.
func subscribers(b *testing.B, l *pipes, n int, p id.Project, key string) <-chan time.Time {
	got := make(chan time.Time, n)
	var live sync.WaitGroup
	for range n {
		live.Add(1)
		go func() {
			c, err := l.dial(b.Context(), "", "")
			if err != nil {
				b.Error(err)
				return
			}
			fmt.Fprintf(c, "GET /%s/revocations?after=0.00000000 HTTP/1.1\r\nHost: latchkey\r\n%s\r\nAuthorization: Bearer %s\r\n\r\n", p, events, key)
			known := sync.OnceFunc(live.Done)
			for in := bufio.NewScanner(c); in.Scan(); {
				switch {
				case strings.HasPrefix(in.Text(), "event: live"):
					known()
				case strings.HasPrefix(in.Text(), "event: revocation"):
					got <- time.Now()
				}
			}
		}()
	}
	live.Wait()
	return got
}
