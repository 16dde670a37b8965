package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
)

// revocationPlan is what the benchmark of the revocation feed does.
type revocationPlan struct {
	verifiers   int
	revocations int
	pause       time.Duration
	dir         string
}

func benchRevocationCommand(t *terminal) *cobra.Command {
	p := revocationPlan{}
	pause := latchkey.Duration(20 * time.Millisecond)
	c := &cobra.Command{
		Use: "revocation", Short: "How soon a revoked session is refused everywhere",
		Long: `Starts a server in a process of its own and verifiers that follow its revocation feed, each
over a connection of its own. Then it revokes sessions one by one, and measures for every verifier
the time from the answer of the revoke call to the first refusal of the session's token. All share
this machine's cores.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			p.pause = pause.Std()
			if err := p.check(); err != nil {
				return err
			}
			return t.benchRevocation(c.Context(), p)
		},
	}
	c.Flags().IntVar(&p.verifiers, "verifiers", 100, "verifiers that follow the feed")
	c.Flags().IntVar(&p.revocations, "revocations", 200, "sessions to revoke")
	c.Flags().Var(durationFlag{&pause}, "pause", "between two revocations")
	c.Flags().StringVar(&p.dir, "dir", "", "where to put the store; a temporary folder when left out. It is removed afterwards")
	return c
}

func (p revocationPlan) check() error {
	switch {
	case p.verifiers < 1 || p.verifiers > 10_000:
		return usagef("--verifiers is 1 to 10000")
	case p.revocations < 1 || p.revocations > 100_000:
		return usagef("--revocations is 1 to 100000")
	case p.pause < 0 || p.pause > time.Minute:
		return usagef("--pause is 0s to 1m")
	}
	return nil
}

// revocationAnswer is the outcome, for machines.
type revocationAnswer struct {
	Verifiers   int     `json:"verifiers"`
	Revocations int     `json:"revocations"`
	Refusals    figures `json:"refusals"` // from the revoke call's answer to each verifier's refusal
	All         figures `json:"all"`      // the same to the last verifier's refusal, one for each revocation
	Before      int     `json:"beforeTheAnswer"`
}

func (t *terminal) benchRevocation(ctx context.Context, p revocationPlan) error {
	dir, err := os.MkdirTemp(p.dir, "latchkey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{t: t, dir: dir, show: t.progress()}
	server, err := b.start(ctx, "dev", "--addr", "127.0.0.1:0", "--data", filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer server.stop()
	r := &revocationRun{bench: b, plan: p}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	out, err := r.measure(ctx)
	if err != nil {
		return err
	}
	b.show.done()
	return t.show(out, func() { t.printRevocation(out) })
}

// revocationRun is one run.
type revocationRun struct {
	*bench
	plan      revocationPlan
	server    readyFile
	client    *latchkey.Client
	sessions  []latchkey.TokenSet
	verifiers []*latchkey.Verifier
}

// prepare signs users in.
func (r *revocationRun) prepare(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(r.dir, "ready.json"))
	if err == nil {
		err = json.Unmarshal(text, &r.server)
	}
	if err != nil {
		return err
	}
	r.client, err = latchkey.NewClient(latchkey.ClientConfig{Issuer: r.server.Issuer, Key: r.server.ManagementKey})
	if err != nil {
		return err
	}
	for i := range r.plan.revocations {
		r.show.show("making sessions: %d of %d", i, r.plan.revocations)
		set, err := r.client.CreateSession(ctx, latchkey.SignInRequest{User: latchkey.UserNamed(r.server.User), AMR: []string{"pwd"}})
		if err != nil {
			return err
		}
		r.sessions = append(r.sessions, set)
	}
	return nil
}

// measure runs the verifiers, and revokes when all of them hear the feed.
func (r *revocationRun) measure(ctx context.Context) (revocationAnswer, error) {
	following, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for range r.plan.verifiers {
		v, err := latchkey.NewVerifier(latchkey.VerifierConfig{
			Issuer: r.server.Issuer, Key: r.server.VerifyKey, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return revocationAnswer{}, err
		}
		r.verifiers = append(r.verifiers, v)
		running.Go(func() { v.Run(following) })
	}
	if err := r.everyone(ctx, "waiting for the verifiers", func(v *latchkey.Verifier) error {
		if !v.Status().Feed.Complete {
			return fmt.Errorf("a verifier doesn't hear the feed: %s", v.Status().Feed.LastError)
		}
		return nil
	}); err != nil {
		return revocationAnswer{}, err
	}
	var each, last []time.Duration
	for i, set := range r.sessions {
		r.show.show("revoking: %d of %d", i, len(r.sessions))
		lags, err := r.revoke(ctx, set)
		if err != nil {
			return revocationAnswer{}, err
		}
		each, last = append(each, lags...), append(last, slices.Max(lags))
		if err := rest(ctx, r.plan.pause); err != nil {
			return revocationAnswer{}, err
		}
	}
	out := revocationAnswer{Verifiers: r.plan.verifiers, Revocations: len(r.sessions), Refusals: spread(each), All: spread(last)}
	for _, lag := range each {
		if lag <= 0 {
			out.Before++
		}
	}
	return out, nil
}

const (
	lookAgain   = time.Millisecond // how exact the measurement is
	refusedSoon = 30 * time.Second
)

// revoke ends one session and returns how long after the answer each verifier refused
// its token, negative for those that did before.
func (r *revocationRun) revoke(ctx context.Context, set latchkey.TokenSet) ([]time.Duration, error) {
	for _, v := range r.verifiers {
		if _, err := v.Verify(ctx, set.SessionToken); err != nil {
			return nil, fmt.Errorf("a token that isn't revoked yet: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, refusedSoon)
	defer cancel()
	refused := make([]time.Time, len(r.verifiers))
	errs := make([]error, len(r.verifiers))
	var watching sync.WaitGroup
	for i, v := range r.verifiers {
		watching.Go(func() { refused[i], errs[i] = refusal(ctx, v, set.SessionToken) })
	}
	_, err := r.client.RevokeSession(ctx, set.Session.ID)
	answered := time.Now()
	if err != nil {
		cancel()
	}
	watching.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	lags := make([]time.Duration, len(refused))
	for i, at := range refused {
		lags[i] = at.Sub(answered)
	}
	return lags, nil
}

// refusal waits until v refuses the token as revoked.
func refusal(ctx context.Context, v *latchkey.Verifier, token string) (time.Time, error) {
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		_, err := v.Verify(ctx, token)
		if latchkey.ReasonOf(err) == latchkey.ReasonRevoked {
			return time.Now(), nil
		}
		if err != nil {
			return time.Time{}, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("a verifier still takes a revoked session's token: %w", ctx.Err())
		}
	}
}

// everyone waits until check says nil of all verifiers.
func (r *revocationRun) everyone(ctx context.Context, what string, check func(*latchkey.Verifier) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		var missing error
		n := 0
		for _, v := range r.verifiers {
			if err := check(v); err != nil {
				missing = err
				continue
			}
			n++
		}
		if missing == nil {
			return nil
		}
		r.show.show("%s: %d of %d", what, n, len(r.verifiers))
		if rest(ctx, 10*time.Millisecond) != nil {
			return missing
		}
	}
}

// rest waits, or returns why it was cut short.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *terminal) printRevocation(out revocationAnswer) {
	t.printf("%d sessions revoked, %d verifiers; milliseconds from the revoke call's answer to the refusal\n\n", out.Revocations, out.Verifiers)
	row := func(name string, f figures) []string {
		ms := func(d float64) string { return fmt.Sprintf("%.1f ms", d) }
		return []string{name, fmt.Sprint(f.Requests), ms(f.P50), ms(f.P95), ms(f.P99), ms(f.Max)}
	}
	t.table(" | MEASURED | P50 | P95 | P99 | MAX", [][]string{row("each verifier", out.Refusals), row("the last one", out.All)})
	t.printf("\n%d of %d refusals came before the answer did\n", out.Before, out.Refusals.Requests)
}
