package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/session"
)

func keyCommand(t *terminal) *cobra.Command {
	return group("key", "Look after signing keys and the master key",
		keyListCommand(t), keyRotateCommand(t), keyRevokeCommand(t), keyMasterCommand(t), keyResealCommand(t))
}

type keyJSON struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"`
	Since     time.Time `json:"since,omitzero"`
	Note      string    `json:"note,omitempty"`
	Revoked   int       `json:"revokedSessions,omitempty"`
}

func keyLine(k key.Key) keyJSON {
	out := keyJSON{ID: k.ID.String(), Algorithm: string(k.Algorithm), State: string(k.State)}
	switch k.State {
	case key.Next:
		out.Since, out.Note = k.CreatedAt, "signs from "+when(k.ActivatesAt)
	case key.Active:
		out.Since = k.ActivatedAt
	case key.Retired:
		out.Since, out.Note = k.RetiredAt, "published until "+when(k.GoneAt)
	case key.Revoked:
		out.Since, out.Note = k.RetiredAt, "kept until "+when(k.GoneAt)+", so that its tokens are told why"
	}
	return out
}

func (t *terminal) showKeys(keys ...key.Key) error {
	lines := []keyJSON{}
	var rows [][]string
	for _, k := range keys {
		l := keyLine(k)
		lines = append(lines, l)
		rows = append(rows, []string{l.ID, l.Algorithm, l.State, when(l.Since), l.Note})
	}
	return t.show(lines, func() { t.table("KEY | ALGORITHM | STATE | SINCE | ", rows) })
}

func keyListCommand(t *terminal) *cobra.Command {
	var project string
	c := t.onStore(&cobra.Command{Use: "list", Short: "List the signing keys of a project", Args: none}, needStore,
		func(c *cobra.Command, app *server.App, _ []string) error {
			p, err := pickProject(c, app, project)
			if err != nil {
				return err
			}
			keys, err := app.Keys.List(c.Context(), p)
			if err != nil {
				return err
			}
			return t.showKeys(keys...)
		})
	c.Flags().StringVar(&project, "project", "", "project id; may be left out when there is one project")
	return c
}

func keyRotateCommand(t *terminal) *cobra.Command {
	var project string
	var immediate bool
	c := t.onStore(&cobra.Command{
		Use: "rotate", Short: "Replace the active signing key",
		Long: "Publishes a new key, which signs a day later, because many clients cache the key set.\nWith --immediate it signs at once, and clients refuse its tokens until they read the key set again.",
		Args: none,
	}, needMaster, func(c *cobra.Command, app *server.App, _ []string) error {
		p, err := pickProject(c, app, project)
		if err != nil {
			return err
		}
		rotate := app.Keys.Rotate
		if immediate {
			rotate = app.Keys.RotateNow
		}
		k, err := rotate(c.Context(), p, byCLI)
		if err != nil {
			return err
		}
		return t.showKeys(k)
	})
	c.Flags().StringVar(&project, "project", "", "project id; may be left out when there is one project")
	c.Flags().BoolVar(&immediate, "immediate", false, "sign with the new key at once")
	return c
}

func keyRevokeCommand(t *terminal) *cobra.Command {
	var project string
	c := t.onStore(&cobra.Command{
		Use: "revoke KEY", Short: "Take a signing key out at once and end the sessions that it signed",
		Args: one("the key's id (kid); latchkey key list shows them"),
	}, needMaster, func(c *cobra.Command, app *server.App, args []string) error {
		kid, err := id.ParseKey(args[0])
		if err != nil {
			return usagef("%q is no key id; latchkey key list shows them", args[0])
		}
		p, err := pickProject(c, app, project)
		if err != nil {
			return err
		}
		k, err := app.Keys.Revoke(c.Context(), p, kid, byCLI)
		if err != nil {
			return err
		}
		n, err := app.Sessions.EndMatching(c.Context(), session.Filter{Project: p, SigningKey: kid}, session.Ending{Reason: session.KeyRevoked, Origin: byCLI})
		if err != nil {
			return err
		}
		line := keyLine(k)
		line.Revoked = n
		return t.show(line, func() { t.printf("%s is revoked; %d sessions ended with it\n", line.ID, n) })
	})
	c.Flags().StringVar(&project, "project", "", "project id; may be left out when there is one project")
	return c
}

func keyMasterCommand(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "master", Short: "Print a fresh master key",
		Long: "Prints a fresh master key, under which all private keys rest in the store:\n\n  (umask 077; latchkey key master > master.key)\n\nKeep a copy apart from the store's backups. To replace it, put a new one on the first line of the file and keep the old one below, restart the servers, and run latchkey key reseal; then the old one can go.",
		Args: none,
		RunE: func(*cobra.Command, []string) error {
			k := secret.NewMasterKey().Reveal()
			return t.show(map[string]string{"masterKey": k}, func() { t.printf("%s\n", k) })
		},
	}
}

// resealing is how far a reseal has come, and in the end what it did.
type resealing struct {
	Projects int `json:"projects"` // each has one MAC key
	Keys     int `json:"keys"`     // signing keys
	Webhooks int `json:"webhooks"` // each has a secret
	Resealed int `json:"resealed"` // of all these
}

func keyResealCommand(t *terminal) *cobra.Command {
	return t.onStore(&cobra.Command{
		Use: "reseal", Short: "Encrypt everything under the first master key, so that the others can go",
		Long: "Encrypts every project's MAC key, every signing key and every webhook's secret anew, under the first master key. Servers may run meanwhile, if they were started with this key too. Running it again does what is left.\nBackups from before still need the old master key.",
		Args: none,
	}, needMaster, func(c *cobra.Command, app *server.App, _ []string) error {
		var done resealing
		show := t.progress()
		err := app.EachProject(c.Context(), func(p directory.Project) error {
			show.show("%d projects, %d signing keys, %d webhooks, %d resealed", done.Projects, done.Keys, done.Webhooks, done.Resealed)
			return done.add(c.Context(), app, p.ID)
		})
		show.done()
		if err != nil {
			return fmt.Errorf("not everything is resealed, run it again: %w", err)
		}
		return t.show(done, func() {
			t.printf("%d keys resealed under the first master key, %d were already (%d projects, %d signing keys, %d webhooks)\n",
				done.Resealed, done.Projects+done.Keys+done.Webhooks-done.Resealed, done.Projects, done.Keys, done.Webhooks)
		})
	})
}

func (r *resealing) add(ctx context.Context, app *server.App, p id.Project) error {
	mac, err := app.Directory.ResealMAC(ctx, p, app.Master, byCLI)
	if err != nil {
		return err
	}
	keys, resealed, err := app.Keys.Reseal(ctx, p, byCLI)
	if err != nil {
		return err
	}
	hooks, secrets, err := app.Webhooks.Reseal(ctx, p, byCLI)
	if err != nil {
		return err
	}
	r.Projects, r.Keys, r.Webhooks, r.Resealed = r.Projects+1, r.Keys+keys, r.Webhooks+hooks, r.Resealed+resealed+secrets
	if mac {
		r.Resealed++
	}
	return nil
}
