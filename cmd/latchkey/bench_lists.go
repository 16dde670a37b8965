package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
)

// listsPlan is what the benchmark of lists does.
type listsPlan struct {
	sessions  int
	users     int
	clients   int // of lists
	refreshes int // clients that refresh while a role changes
	lasts     time.Duration
	dir       string
}

func benchListsCommand(t *terminal) *cobra.Command {
	p := listsPlan{}
	lasts := latchkey.Duration(20 * time.Second)
	c := &cobra.Command{
		Use: "lists", Short: "How long lists, searches and a change of many users' role take",
		Long: `Fills a new SQLite store with users, tenants and sessions, serves it in a process of its own, and
asks over HTTP for lists of sessions and searches of users, mixed as an application asks. Beside them
stands the trivial request of the same run. Then clients refresh sessions while a role changes that a
tenth of the users have, and while a dry-run looks at all sessions. All share this machine's cores.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			p.lasts = lasts.Std()
			if err := p.check(); err != nil {
				return err
			}
			return t.benchLists(c.Context(), p)
		},
	}
	c.Flags().IntVar(&p.sessions, "sessions", 1_000_000, "sessions in the store")
	c.Flags().IntVar(&p.users, "users", 200_000, "users in the store")
	c.Flags().IntVar(&p.clients, "clients", 2, "lists at once")
	c.Flags().IntVar(&p.refreshes, "refreshes", 16, "refreshes at once while a role changes")
	c.Flags().Var(durationFlag{&lasts}, "duration", "how long to ask for lists; refreshing takes a part of that")
	c.Flags().StringVar(&p.dir, "dir", "", "where to put the store; a temporary folder when left out. It is removed afterwards")
	return c
}

func (p listsPlan) check() error {
	switch {
	case p.sessions < 1 || p.sessions > 100_000_000:
		return usagef("--sessions is 1 to 100000000")
	case p.users < 1 || p.users > 10_000_000:
		return usagef("--users is 1 to 10000000")
	case p.clients < 1 || p.clients > 1000:
		return usagef("--clients is 1 to 1000")
	case p.refreshes < 1 || p.refreshes > 1000:
		return usagef("--refreshes is 1 to 1000")
	case p.lasts < time.Second || p.lasts > time.Hour:
		return usagef("--duration is 1s to 1h")
	}
	return nil
}

// listsAnswer is the outcome, for machines.
type listsAnswer struct {
	Sessions int            `json:"sessions"`
	Users    int            `json:"users"`
	Clients  int            `json:"clients"`
	Trivial  figures        `json:"trivial"` // GET /livez, in the mix
	Lists    []listsFigures `json:"lists"`
	All      figures        `json:"all"` // of all lists together
	Role     roleFigures    `json:"roleChange"`
}

// listsFigures are those of one kind of request.
type listsFigures struct {
	Kind    string  `json:"kind"`
	Entries float64 `json:"entriesPerPage"`
	figures
}

// roleFigures say what a change of a role, and a dry-run, cost those who refresh.
type roleFigures struct {
	Concerned int     `json:"sessionsConcerned"`
	Change    figures `json:"change"` // from request to answer
	DryRun    figures `json:"dryRun"`
	// Refreshes before anything else happens, while the role changes, and during the
	// dry-run.
	Before       figures `json:"refreshBefore"`
	DuringChange figures `json:"refreshDuringChange"`
	DuringDryRun figures `json:"refreshDuringDryRun"`
}

func (t *terminal) benchLists(ctx context.Context, p listsPlan) error {
	dir, err := os.MkdirTemp(p.dir, "latchkey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &listsRun{bench: &bench{t: t, plan: plan{sessions: p.sessions, clients: p.clients, format: "jwt"}, dir: dir, show: t.progress()}, lists: p}
	if err := r.fill(ctx); err != nil {
		return err
	}
	server, err := r.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer server.stop()
	r.url = server.url
	out := listsAnswer{Sessions: p.sessions, Users: p.users, Clients: p.clients}
	if err := r.ask(ctx, &out); err != nil {
		return err
	}
	if err := r.disturb(ctx, &out); err != nil {
		return err
	}
	r.show.done()
	return t.show(out, func() { t.printLists(out) })
}

func (t *terminal) printLists(out listsAnswer) {
	t.printf("%d sessions, %d users, %d lists at once\n\n", out.Sessions, out.Users, out.Clients)
	ms := func(d float64) string { return fmt.Sprintf("%.1f ms", d) }
	row := func(name, entries string, f figures) []string {
		return []string{name, entries, fmt.Sprint(f.Requests), ms(f.P50), ms(f.P99), ms(f.Max), fmt.Sprint(f.Failed)}
	}
	rows := [][]string{row("trivial request", "", out.Trivial)}
	for _, l := range out.Lists {
		rows = append(rows, row(l.Kind, fmt.Sprintf("%.1f", l.Entries), l.figures))
	}
	t.table(" | ENTRIES | REQUESTS | P50 | P99 | MAX | FAILED", append(rows, row("all lists", "", out.All)))
	r := out.Role
	t.printf("\na role of users with %d sessions\n\n", r.Concerned)
	t.table(" | ENTRIES | REQUESTS | P50 | P99 | MAX | FAILED", [][]string{
		row("change of the role", "", r.Change), row("dry-run over all sessions", "", r.DryRun),
		row("refresh before", "", r.Before), row("refresh while the role changes", "", r.DuringChange), row("refresh during the dry-run", "", r.DuringDryRun),
	})
}
