package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/spelling"
)

// eventFlags are the flags by which events are chosen: those of the API.
type eventFlags struct {
	project, user string
	filter        latchkey.EventFilter
}

func (f *eventFlags) add(c *cobra.Command) {
	projectFlag(c, &f.project)
	c.Flags().StringSliceVar(&f.filter.Types, "type", nil, "only events of these types, such as session.ended, or kinds of them, such as user.*")
	c.Flags().StringVar(&f.user, "user", "", "user id or login id")
	c.Flags().StringVar(&f.filter.Session, "session", "", "session id")
	c.Flags().StringVar(&f.filter.Tenant, "tenant", "", "tenant id: events that name the tenant")
	c.Flags().StringVar(&f.filter.Actor, "actor", "", "who did it: system, cli, user:usr_… or key:mk_…")
	c.Flags().StringVar(&f.filter.IP, "ip", "", "address from which it was asked for")
	c.Flags().StringVar(&f.filter.RequestID, "request-id", "", "request id, as answers and logs have it")
}

// read reads what needs no store.
func (f *eventFlags) read() (audit.Query, misuse) {
	var bad misuse
	in := f.filter
	in.Types = nil
	for _, t := range f.filter.Types {
		if _, err := audit.Match(t); err != nil {
			bad = bad.add("--type: %q is no type of event; %s", t, meantType(t))
			continue
		}
		in.Types = append(in.Types, t)
	}
	q, problems := audit.ParseFilter(in)
	for _, p := range problems {
		bad = bad.add("--%s: %s", p.Pointer, p.Detail)
	}
	return q, bad
}

// query adds the project and the user to what was read, unless that has problems.
func (f *eventFlags) query(c *cobra.Command, app *server.App, q audit.Query, bad misuse) (audit.Query, error) {
	if err := bad.err(); err != nil {
		return q, err
	}
	var err error
	if q.Project, err = pickProject(c, app, f.project); err != nil {
		return q, err
	}
	q.User, err = pickUser(c, app, q.Project, f.user)
	return q, err
}

// meantType says which type was probably meant, or which ones there are.
func meantType(given string) string {
	var kinds, types, siblings []string
	noun, _, _ := strings.Cut(given, ".")
	for _, t := range audit.Types() {
		of, _, _ := strings.Cut(string(t), ".")
		if kind := of + ".*"; !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if types = append(types, string(t)); of == noun {
			siblings = append(siblings, string(t))
		}
	}
	if near := spelling.Nearest(given, append(types, kinds...)...); near != "" {
		return "did you mean " + near + "?"
	}
	if len(siblings) > 0 {
		return "there are " + strings.Join(siblings, ", ")
	}
	return "kinds of them are " + strings.Join(kinds, ", ")
}

// misuse is what is wrong with a call, all of it.
type misuse []string

func (m misuse) add(format string, args ...any) misuse {
	return append(m, fmt.Sprintf(format, args...))
}

// err is nil when nothing is wrong.
func (m misuse) err() error {
	switch len(m) {
	case 0:
		return nil
	case 1:
		return usagef("%s", m[0])
	}
	return usagef("the call has problems:\n  %s", strings.Join(m, "\n  "))
}

// moment reads a time that a flag has: in RFC 3339, as a day (UTC), or how long ago. None is
// the zero time.
func (m misuse) moment(flag, text string, now time.Time) (time.Time, misuse) {
	if text == "" {
		return time.Time{}, m
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, m
		}
	}
	if ago, err := latchkey.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-time.Duration(ago)), m
	}
	return time.Time{}, m.add("--%s: %q is no time; give one such as 2026-03-01T12:00:00Z, a day such as 2026-03-01, or how long ago, such as 10m or 7d", flag, text)
}
