package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
)

func benchCommand(t *terminal) *cobra.Command {
	return group("bench", "Measure this machine", benchRefreshCommand(t), benchRevocationCommand(t), benchListsCommand(t), ceilingCommand(t))
}

// plan is what one benchmark does.
type plan struct {
	sessions int
	clients  int
	lasts    time.Duration
	format   string
	dir      string
}

func benchRefreshCommand(t *terminal) *cobra.Command {
	p := plan{lasts: 10 * time.Second}
	lasts := latchkey.Duration(p.lasts)
	c := &cobra.Command{
		Use: "refresh", Short: "How many refreshes a second, over HTTP with durable writes",
		Long: `Fills a new SQLite store with sessions, serves it in a process of its own, and refreshes
sessions at random over HTTP, as fast as a number of clients can. Beside each figure stands
the ceiling of the same run: a server that decodes the same request, signs as many tokens
and answers as much, but has no store. Machines differ and are shared; the ratio tells.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			p.lasts = lasts.Std()
			if err := p.check(); err != nil {
				return err
			}
			return t.benchRefresh(c.Context(), p)
		},
	}
	c.Flags().IntVar(&p.sessions, "sessions", 1_000_000, "sessions in the store")
	c.Flags().IntVar(&p.clients, "clients", 64, "requests at once")
	c.Flags().Var(durationFlag{&lasts}, "duration", "how long to measure")
	c.Flags().StringVar(&p.format, "format", "jwt", "form of the refresh tokens: jwt or opaque")
	c.Flags().StringVar(&p.dir, "dir", "", "where to put the store; a temporary folder when left out. It is removed afterwards")
	return c
}

func (p plan) check() error {
	switch {
	case p.sessions < 1 || p.sessions > 100_000_000:
		return usagef("--sessions is 1 to 100000000")
	case p.clients < 1 || p.clients > 10_000:
		return usagef("--clients is 1 to 10000")
	case p.lasts < time.Second || p.lasts > time.Hour:
		return usagef("--duration is 1s to 1h")
	case p.format != "jwt" && p.format != "opaque":
		return usagef("--format is jwt or opaque")
	}
	return nil
}

// benchAnswer is the outcome, for machines.
type benchAnswer struct {
	Sessions int     `json:"sessions"`
	Clients  int     `json:"clients"`
	Format   string  `json:"format"`
	First    figures `json:"firstRefresh"` // of each session after the server's start
	Refresh  figures `json:"refresh"`
	Ceiling  figures `json:"ceiling"`
	Ratio    float64 `json:"ratio"` // refreshes to ceiling

	CPUPerRefresh float64 `json:"serverCPUPerRefreshMs,omitempty"`
	EmptyRSS      float64 `json:"serverEmptyMiB,omitempty"`
	RSS           float64 `json:"serverMiB,omitempty"`
	ReadyMs       float64 `json:"startToReadyMs"`
	DiskBytes     float64 `json:"diskBytesPerSession"`
}

func (t *terminal) benchRefresh(ctx context.Context, p plan) error {
	dir, err := os.MkdirTemp(p.dir, "latchkey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	out := benchAnswer{Sessions: p.sessions, Clients: p.clients, Format: p.format}
	b := &bench{t: t, plan: p, dir: dir, show: t.progress()}
	if err := b.fill(ctx); err != nil {
		return err
	}
	out.DiskBytes = b.diskPerSession()
	if err := b.measure(ctx, &out); err != nil {
		return err
	}
	b.show.done()
	return t.show(out, func() { t.printBench(out) })
}

// measure runs the ceiling before and after the refreshes, because what else the
// machine does changes by the minute.
func (b *bench) measure(ctx context.Context, out *benchAnswer) error {
	before, err := b.ceiling(ctx)
	if err != nil {
		return err
	}
	if err := b.refreshes(ctx, out); err != nil {
		return err
	}
	after, err := b.ceiling(ctx)
	if err != nil {
		return err
	}
	out.Ceiling = before.mean(after)
	out.Ratio = out.Refresh.PerSecond / out.Ceiling.PerSecond
	return nil
}

func (t *terminal) printBench(out benchAnswer) {
	t.printf("%d sessions stored, %d clients, %s refresh tokens, %d cores\n\n", out.Sessions, out.Clients, out.Format, runtime.NumCPU())
	row := func(name string, f figures) []string {
		ms := func(d float64) string { return fmt.Sprintf("%.1f ms", d) }
		return []string{name, fmt.Sprintf("%.0f", f.PerSecond), ms(f.P50), ms(f.P95), ms(f.P99), ms(f.Max), fmt.Sprint(f.Failed)}
	}
	t.table(" | PER SECOND | P50 | P95 | P99 | MAX | FAILED", [][]string{
		row("refresh, durable", out.Refresh), row("the first after a start", out.First), row("ceiling, no store", out.Ceiling),
	})
	t.printf("\nratio to the ceiling  %.2f\n", out.Ratio)
	if out.CPUPerRefresh > 0 {
		t.printf("server CPU            %.3f ms a refresh\n", out.CPUPerRefresh)
		t.printf("server memory         %.0f MiB (%.0f MiB with an empty store)\n", out.RSS, out.EmptyRSS)
	}
	t.printf("start to ready        %.0f ms\n", out.ReadyMs)
	t.printf("on disk               %.0f bytes a session\n", out.DiskBytes)
}

// durationFlag reads a latchkey.Duration.
type durationFlag struct{ d *latchkey.Duration }

func (f durationFlag) String() string {
	if f.d == nil {
		return ""
	}
	return f.d.String()
}
func (f durationFlag) Set(s string) error { return f.d.UnmarshalText([]byte(s)) }
func (f durationFlag) Type() string       { return "duration" }
