package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
)

// byCLI is the origin of what the command line does.
var byCLI = audit.Origin{Actor: audit.CLI}

func projectCommand(t *terminal) *cobra.Command {
	return group("project", "Make projects, change and delete them", projectCreateCommand(t), projectListCommand(t), projectSettingsCommand(t),
		projectDisableCommand(t), projectEnableCommand(t), projectDeleteCommand(t), projectExportCommand(t), projectImportCommand(t))
}

type projectJSON struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Status        string     `json:"status"`
	CreatedAt     time.Time  `json:"createdAt"`
	DeletedAt     *time.Time `json:"deletedAt,omitempty"`
	ManagementKey string     `json:"managementKey,omitempty"`
	VerifyKey     string     `json:"verifyKey,omitempty"`
}

func projectOf(p directory.Project) projectJSON {
	out := projectJSON{ID: p.ID.String(), Name: p.Name, Status: string(p.Status), CreatedAt: p.CreatedAt}
	if !p.DeletedAt.IsZero() {
		out.DeletedAt = &p.DeletedAt
	}
	return out
}

func projectCreateCommand(t *terminal) *cobra.Command {
	return t.onStore(&cobra.Command{
		Use: "create NAME", Short: "Make a project with its first keys",
		Long: "Makes a project, its first signing key, and a management and a verify key, whose secrets are shown this once.",
		Args: one("the project's name"),
	}, needMaster, func(c *cobra.Command, app *server.App, args []string) error {
		p, err := app.CreateProject(c.Context(), args[0], byCLI)
		if err != nil {
			return err
		}
		out := projectOf(p)
		if out.ManagementKey, err = newKey(c, app, p.ID, "first", secret.Management); err != nil {
			return err
		}
		if out.VerifyKey, err = newKey(c, app, p.ID, "first", secret.Verify); err != nil {
			return err
		}
		return t.show(out, func() {
			t.printf("project         %s\nmanagement key  %s\nverify key      %s\n\nThe keys are shown this once; only digests of them are kept.\n", out.ID, out.ManagementKey, out.VerifyKey)
		})
	})
}

// newKey makes a management key and returns its secret, for the one time it is shown.
func newKey(c *cobra.Command, app *server.App, p id.Project, name string, kind secret.KeyKind) (string, error) {
	_, clear, err := app.Directory.CreateKey(c.Context(), p, directory.NewKey{Name: name, Kind: kind}, directory.ManagementKey{}, byCLI)
	return clear.Reveal(), err
}

func projectListCommand(t *terminal) *cobra.Command {
	return t.onStore(&cobra.Command{Use: "list", Short: "List the projects", Args: none}, needStore,
		func(c *cobra.Command, app *server.App, _ []string) error {
			list := []projectJSON{}
			err := app.EachProject(c.Context(), func(p directory.Project) error {
				list = append(list, projectOf(p))
				return nil
			})
			if err != nil {
				return err
			}
			return t.show(list, func() {
				var rows [][]string
				for _, p := range list {
					rows = append(rows, []string{p.ID, when(p.CreatedAt), p.Status, p.Name})
				}
				t.table("PROJECT | MADE | STATUS | NAME", rows)
			})
		})
}

func projectSettingsCommand(t *terminal) *cobra.Command {
	var project, patch string
	c := t.onStore(&cobra.Command{
		Use: "settings", Short: "Show or change the settings of a project",
		Long: "Shows the settings. With --patch it changes them: a JSON merge patch such as '{\"idleTimeout\":\"2h\"}', @FILE, or - for standard input; null puts a default back. Nothing changes unless everything fits.",
		Args: none,
	}, needStore, func(c *cobra.Command, app *server.App, _ []string) error {
		p, err := pickProject(c, app, project)
		if err != nil {
			return err
		}
		var answer latchkey.SettingsAnswer
		if patch == "" {
			answer, err = app.Directory.Settings(c.Context(), p)
		} else {
			var body []byte
			if body, err = t.patchText(patch); err == nil {
				answer, err = app.Directory.ChangeSettings(c.Context(), p, body, byCLI)
			}
		}
		if err != nil {
			return err
		}
		return t.show(answer, func() { t.printSettings(answer) })
	})
	projectFlag(c, &project)
	c.Flags().StringVar(&patch, "patch", "", "what to change: JSON, @FILE or -")
	return c
}

func (t *terminal) patchText(patch string) ([]byte, error) {
	switch {
	case patch == "-":
		return io.ReadAll(io.LimitReader(t.in, 1<<20))
	case patch[0] == '@':
		return os.ReadFile(patch[1:])
	}
	return []byte(patch), nil
}

func (t *terminal) printSettings(answer latchkey.SettingsAnswer) {
	b, _ := json.Marshal(answer.Settings)
	var values map[string]json.RawMessage
	_ = json.Unmarshal(b, &values)
	var rows [][]string
	for _, f := range fieldNames(answer.Settings) {
		rows = append(rows, []string{f, string(values[f])})
	}
	t.table("SETTING | VALUE", rows)
	for _, w := range answer.Warnings {
		t.printf("warning: %s %s\n", w.Pointer, w.Detail)
	}
	t.printf("version %s\n", strconv.FormatInt(answer.Version, 10))
}

// pickProject reads a project id; left out, it is the only project.
func pickProject(c *cobra.Command, app *server.App, text string) (id.Project, error) {
	if text != "" {
		p, err := id.ParseProject(text)
		if err != nil {
			return p, usagef("%q is no project id; latchkey project list shows them", text)
		}
		found, err := app.Directory.Project(c.Context(), p)
		if err == nil && found.Status == directory.Deleted {
			err = fmt.Errorf("project %s was deleted at %s", p, when(found.DeletedAt))
		}
		return p, err
	}
	var projects []id.Project
	err := app.EachProject(c.Context(), func(p directory.Project) error {
		if p.Status != directory.Deleted {
			projects = append(projects, p.ID)
		}
		return nil
	})
	if err != nil {
		return id.Project{}, err
	}
	switch len(projects) {
	case 0:
		return id.Project{}, fmt.Errorf("there is no project yet: latchkey project create NAME makes one")
	case 1:
		return projects[0], nil
	}
	return id.Project{}, usagef("there are several projects: choose one with --project; latchkey project list shows them")
}
