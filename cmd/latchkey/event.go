package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/server"
)

func eventCommand(t *terminal) *cobra.Command {
	return group("event", "See what happened, and who did it", eventListCommand(t), eventTailCommand(t))
}

const (
	maxListed = 10_000
	eventPage = 500 // events that are read at once
)

func eventListCommand(t *terminal) *cobra.Command {
	var f eventFlags
	var from, to string
	var limit int
	c := t.onStore(&cobra.Command{
		Use: "list", Short: "List events, newest first",
		Long: "Lists what happened, newest first. With --json each event is one line, as the API shows it.",
		Args: none,
	}, needStore, func(c *cobra.Command, app *server.App, _ []string) error {
		now := time.Now()
		wanted, bad := f.read()
		wanted.From, bad = bad.moment("from", from, now)
		wanted.To, bad = bad.moment("to", to, now)
		if !wanted.From.IsZero() && !wanted.To.IsZero() && !wanted.From.Before(wanted.To) {
			bad = bad.add("--from is not before --to")
		}
		if limit < 1 || limit > maxListed {
			bad = bad.add("--limit is 1 to %d", maxListed)
		}
		q, err := f.query(c, app, wanted, bad)
		if err != nil {
			return err
		}
		return t.listEvents(c.Context(), app.Store.Events(), q, limit)
	})
	f.add(c)
	c.Flags().StringVar(&from, "from", "", "only what happened at this time or later; also a day, or how long ago, such as 2h or 7d")
	c.Flags().StringVar(&to, "to", "", "only what happened before this time")
	c.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return c
}

// listEvents shows up to limit events.
func (t *terminal) listEvents(ctx context.Context, events audit.Store, q audit.Query, limit int) error {
	var rows [][]string
	err := t.eachEvent(ctx, events, q, limit, func(e latchkey.Event) error {
		if t.json {
			return writeLine(t.out, e)
		}
		rows = append(rows, []string{when(e.At), e.Type, e.Actor, dash(e.User), dash(e.Session), dash(e.IP), dash(dataText(e.Data))})
		return nil
	})
	if err == nil && !t.json {
		t.table("TIME | TYPE | ACTOR | USER | SESSION | IP | DATA", rows)
	}
	return err
}

// eachEvent gives up to limit events to do, from as many pages as that takes.
func (t *terminal) eachEvent(ctx context.Context, events audit.Store, q audit.Query, limit int, do func(latchkey.Event) error) error {
	show := t.progress()
	defer show.done()
	for found := 0; ; {
		q.Limit = min(limit-found, eventPage)
		page, next, err := events.Walk(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := do(e.Public()); err != nil {
				return err
			}
		}
		if found += len(page); found == limit || next.IsZero() {
			return nil
		}
		q.Before = next
		show.show("%d events, back to %s", found, when(next.Time()))
	}
}

func eventTailCommand(t *terminal) *cobra.Command {
	var f eventFlags
	var since string
	c := t.onStore(&cobra.Command{
		Use: "tail", Short: "Show events as they happen",
		Long: "Shows each event as it is written, by whichever process, in one line, until it is interrupted. With --since it begins some time ago. With --json each line is the event as the API shows it.",
		Args: none,
	}, needStore, func(c *cobra.Command, app *server.App, _ []string) error {
		wanted, bad := f.read()
		wanted.From, bad = bad.moment("since", since, time.Now())
		q, err := f.query(c, app, wanted, bad)
		if err != nil {
			return err
		}
		err = t.followEvents(c.Context(), app.Store.Events(), q)
		if c.Context().Err() != nil {
			return nil // that is how it ends
		}
		return err
	})
	f.add(c)
	c.Flags().StringVar(&since, "since", "", "begin with what happened at this time or later; also a day, or how long ago, such as 10m or 2d")
	return c
}

// followEvents shows events from q.From, or from now on, until ctx ends.
func (t *terminal) followEvents(ctx context.Context, events audit.Store, q audit.Query) error {
	ctx, cancel := context.WithCancel(ctx)
	watch, err := audit.NewWatch(events, slog.New(slog.NewTextHandler(t.err, nil)))
	if err != nil {
		cancel()
		return err
	}
	var watching sync.WaitGroup
	watching.Go(func() { watch.Run(ctx) })
	defer watching.Wait()
	defer cancel()
	leave, err := watch.Follow(q.Project)
	if err != nil {
		return err
	}
	defer leave()
	at, err := place(ctx, events, q.From)
	if err != nil {
		return err
	}
	for tail := audit.NewTail(events, q, at); ; {
		grown := watch.Grown() // before reading, so that nothing is missed
		list, done, err := tail.Next(ctx, eventPage)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := t.eventLine(e.Public()); err != nil {
				return err
			}
		}
		if !done {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-grown:
		}
	}
}

// place is where to begin: at a time, or at the end without one.
func place(ctx context.Context, events audit.Store, from time.Time) (audit.Cursor, error) {
	if from.IsZero() {
		return audit.End(ctx, events)
	}
	return audit.Since(ctx, events, from)
}

// eventLine prints one event, as it happens.
func (t *terminal) eventLine(e latchkey.Event) error {
	if t.json {
		return writeLine(t.out, e)
	}
	line := fmt.Sprintf("%s  %-*s  actor=%s", when(e.At), typeWidth(), e.Type, e.Actor)
	for _, member := range [][2]string{{"user", e.User}, {"session", e.Session}, {"ip", e.IP}} {
		if member[1] != "" {
			line += " " + member[0] + "=" + member[1]
		}
	}
	if data := dataText(e.Data); data != "" {
		line += " " + data
	}
	_, err := fmt.Fprintln(t.out, wire.Printable(line, 2*maxCell))
	return err
}

// typeWidth is the length of the longest type.
func typeWidth() int {
	longest := slices.MaxFunc(audit.Types(), func(a, b audit.Type) int { return cmp.Compare(len(a), len(b)) })
	return len(longest)
}

// dataText is what an event holds, for people: its members by name, and JSON where a word
// doesn't do.
func dataText(data map[string]any) string {
	var members []string
	for _, name := range slices.Sorted(maps.Keys(data)) {
		word, isText := data[name].(string)
		if !isText || word == "" || strings.ContainsAny(word, " \t\n\"=") {
			b, err := json.Marshal(data[name])
			if err != nil {
				b = []byte("?")
			}
			word = string(b)
		}
		members = append(members, name+"="+word)
	}
	return strings.Join(members, " ")
}

// writeLine prints v as JSON in one line.
func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
