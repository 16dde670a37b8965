package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func sessionCommand(t *terminal) *cobra.Command {
	return group("session", "List and end sessions, and see why one was refused",
		sessionListCommand(t), sessionShowCommand(t), sessionRevokeCommand(t), sessionTraceCommand(t))
}

type sessionJSON struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	State     string    `json:"state"`
	EndReason string    `json:"endReason,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	LastSeen  time.Time `json:"lastSeenAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	AMR       []string  `json:"amr"`
	Tenant    string    `json:"tenant,omitempty"`
	Actor     string    `json:"actor,omitempty"` // who acts as the user
	Device    string    `json:"device,omitempty"`
	IP        string    `json:"ip,omitempty"`
	Recovered int       `json:"recoveries,omitempty"`
}

func sessionLine(s session.Found) sessionJSON {
	return sessionJSON{
		ID: s.ID.String(), User: s.User.String(), State: string(s.Status), EndReason: string(s.Reason),
		CreatedAt: s.CreatedAt, LastSeen: s.LastSeen(), ExpiresAt: s.ExpiresAt(),
		AMR: s.AMR, Tenant: s.Tenant.String(), Actor: s.Actor, Device: s.Device.Name, IP: s.Device.IP, Recovered: s.Recoveries,
	}
}

func sessionListCommand(t *terminal) *cobra.Command {
	var project, user, tenant, state string
	var limit int
	c := t.onStore(&cobra.Command{Use: "list", Short: "List sessions, newest first", Args: none}, needStore,
		func(c *cobra.Command, app *server.App, _ []string) error {
			p, err := pickProject(c, app, project)
			if err != nil {
				return err
			}
			f := session.Filter{Project: p, Status: session.Status(state), Limit: limit}
			if f.User, err = pickUser(c, app, p, user); err != nil {
				return err
			}
			if tenant != "" {
				if f.Tenant, err = id.ParseTenant(tenant); err != nil {
					return usagef("--tenant is a tenant id (ten_…), not %q", tenant)
				}
			}
			if state != "" && f.Status != session.Active && f.Status != session.Over && f.Status != session.Expired {
				return usagef("--state is active, ended or expired, not %q", state)
			}
			if limit < 1 || limit > 10_000 {
				return usagef("--limit is 1 to 10000")
			}
			found, err := followPages(c.Context(), app.Sessions.List, f)
			if err != nil {
				return err
			}
			lines := []sessionJSON{}
			var rows [][]string
			for _, s := range found {
				l := sessionLine(s)
				lines = append(lines, l)
				rows = append(rows, []string{l.ID, l.User, status(l), when(l.LastSeen), dash(l.Device), dash(l.IP)})
			}
			return t.show(lines, func() { t.table("SESSION | USER | STATE | LAST SEEN | DEVICE | IP", rows) })
		})
	c.Flags().StringVar(&project, "project", "", "project id; may be left out when there is one project")
	c.Flags().StringVar(&user, "user", "", "user id or login id")
	c.Flags().StringVar(&tenant, "tenant", "", "id of the tenant that is the current one")
	c.Flags().StringVar(&state, "state", "", "active, ended or expired")
	c.Flags().IntVar(&limit, "limit", 50, "how many at most")
	return c
}

// followPages collects up to f.Limit sessions from as many pages as that takes.
func followPages(ctx context.Context, list func(context.Context, session.Filter) ([]session.Found, id.Session, error), f session.Filter) ([]session.Found, error) {
	var all []session.Found
	for limit := f.Limit; ; {
		page, next, err := list(ctx, f)
		all = append(all, page...)
		if err != nil || next.IsZero() || len(all) == limit {
			return all, err
		}
		f.After, f.Limit = next, limit-len(all)
	}
}

func status(l sessionJSON) string {
	if l.EndReason != "" {
		return l.State + " (" + l.EndReason + ")"
	}
	return l.State
}

func pickUser(c *cobra.Command, app *server.App, p id.Project, text string) (id.User, error) {
	if text == "" {
		return id.User{}, nil
	}
	if u, err := id.ParseUser(text); err == nil {
		return u, nil
	}
	u, err := app.Directory.UserByLogin(c.Context(), p, text)
	return u.ID, err
}

// onSession makes a command that is about one session.
func (t *terminal) onSession(c *cobra.Command, do func(c *cobra.Command, app *server.App, p id.Project, s id.Session) error) *cobra.Command {
	var project string
	c.Args = one("a session id (ses_…)")
	c = t.onStore(c, needStore, func(c *cobra.Command, app *server.App, args []string) error {
		s, err := id.ParseSession(args[0])
		if err != nil {
			return usagef("%q is no session id; the sid claim of a token is one", args[0])
		}
		p, err := pickProject(c, app, project)
		if err != nil {
			return err
		}
		return do(c, app, p, s)
	})
	c.Flags().StringVar(&project, "project", "", "project id; may be left out when there is one project")
	return c
}

func sessionShowCommand(t *terminal) *cobra.Command {
	return t.onSession(&cobra.Command{Use: "show SESSION", Short: "Show one session"},
		func(c *cobra.Command, app *server.App, p id.Project, s id.Session) error {
			found, err := app.Sessions.Get(c.Context(), p, s)
			if err != nil {
				return err
			}
			l := sessionLine(found)
			return t.show(l, func() {
				for _, line := range [][2]string{
					{"session", l.ID}, {"user", l.User}, {"state", status(l)}, {"signed in", when(l.CreatedAt)}, {"last seen", when(l.LastSeen)},
					{"ends", when(l.ExpiresAt)}, {"methods", strings.Join(l.AMR, " ")}, {"tenant", l.Tenant}, {"actor", l.Actor}, {"device", l.Device}, {"ip", l.IP}, {"recoveries", strconv.Itoa(l.Recovered)},
				} {
					t.printf("%-11s %s\n", line[0], wire.Printable(dash(line[1]), maxCell))
				}
			})
		})
}

func sessionRevokeCommand(t *terminal) *cobra.Command {
	return t.onSession(&cobra.Command{Use: "revoke SESSION", Short: "End a session"},
		func(c *cobra.Command, app *server.App, p id.Project, s id.Session) error {
			active, err := app.Sessions.End(c.Context(), p, s, session.Ending{Reason: session.Ended, Origin: byCLI})
			if err != nil {
				return err
			}
			return t.show(map[string]any{"id": s.String(), "revoked": active}, func() {
				if active {
					t.printf("%s is ended\n", s)
				} else {
					t.printf("%s was over already\n", s)
				}
			})
		})
}

type traceJSON struct {
	At      time.Time  `json:"at"`
	Rule    string     `json:"rule"`
	Why     string     `json:"why"`
	Foreign bool       `json:"foreign,omitempty"`
	Count   int        `json:"count"`
	LastAt  *time.Time `json:"lastAt,omitempty"`
	Token   string     `json:"token,omitempty"`
	Issued  string     `json:"issued,omitempty"`
	Network string     `json:"network,omitempty"`
	Agent   string     `json:"agent,omitempty"`
}

func traceLine(e session.Entry) traceJSON {
	l := traceJSON{At: e.At, Rule: e.Rule.Word(), Why: e.Why(), Foreign: e.Foreign, Count: e.Count,
		Token: e.Token.String(), Issued: e.Issued.String(), Agent: e.Context.Agent}
	if e.Context.Network.IsValid() {
		l.Network = e.Context.Network.String()
	}
	if e.Count > 1 {
		l.LastAt = &e.Last
	}
	return l
}

// ruleCell is a decision in the table.
func ruleCell(l traceJSON) string {
	cell := l.Rule
	if l.Foreign {
		cell += " (foreign)"
	}
	if l.Count > 1 {
		cell += " x" + strconv.Itoa(l.Count)
	}
	return cell
}

func sessionTraceCommand(t *terminal) *cobra.Command {
	return t.onSession(&cobra.Command{
		Use: "trace SESSION", Short: "Show every decision taken for a session, and why",
		Long: "Shows what was decided about a session: when, by which rule, for which refresh token (its id, never the token), from where, and why.",
	}, func(c *cobra.Command, app *server.App, p id.Project, s id.Session) error {
		found, err := app.Sessions.Get(c.Context(), p, s)
		if err != nil {
			return err
		}
		lines := []traceJSON{}
		var rows [][]string
		for _, e := range found.Trace.Entries {
			l := traceLine(e)
			lines = append(lines, l)
			rows = append(rows, []string{when(l.At), ruleCell(l), dash(l.Token), dash(l.Issued), dash(l.Network), dash(l.Agent)})
		}
		state := sessionLine(found)
		return t.show(map[string]any{"session": state, "entries": lines, "dropped": found.Trace.Dropped}, func() {
			t.printf("%s of %s is %s\n\n", state.ID, state.User, status(state))
			if found.Trace.Dropped > 0 {
				t.printf("(%d older decisions are no longer kept)\n", found.Trace.Dropped)
			}
			t.table("TIME | RULE | TOKEN ID | ISSUED ID | NETWORK | AGENT", rows)
			if n := len(found.Trace.Entries); n > 0 {
				t.printf("\nlast: %s\n", lines[n-1].Why)
			}
		})
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
