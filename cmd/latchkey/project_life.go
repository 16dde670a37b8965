package main

import (
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/server"
)

func projectTurnCommand(t *terminal, verb string, to directory.Status, short, long string) *cobra.Command {
	var project string
	c := t.onStore(&cobra.Command{Use: verb, Short: short, Long: long, Args: none}, needStore, func(c *cobra.Command, app *server.App, _ []string) error {
		p, err := pickProject(c, app, project)
		if err != nil {
			return err
		}
		turned, err := app.Directory.ChangeProject(c.Context(), p, directory.ProjectChange{Status: &to}, byCLI)
		if err != nil {
			return err
		}
		return t.show(projectOf(turned), func() { t.printf("project %s is %s\n", turned.ID, turned.Status) })
	})
	projectFlag(c, &project)
	return c
}

func projectDisableCommand(t *terminal) *cobra.Command {
	return projectTurnCommand(t, "disable", directory.Disabled, "End all sessions of a project and refuse sign-ins",
		"Ends all sessions of the project, for good: verifiers are told and refreshes answer session_revoked. Sign-ins are refused until the project is enabled again. Users, settings and keys stay.")
}

func projectEnableCommand(t *terminal) *cobra.Command {
	return projectTurnCommand(t, "enable", directory.Enabled, "Allow sign-ins to a disabled project again",
		"Allows sign-ins again. The sessions that disabling has ended don't come back.")
}

func projectDeleteCommand(t *terminal) *cobra.Command {
	var confirm string
	c := t.onStore(&cobra.Command{
		Use: "delete", Short: "Delete a project with everything in it",
		Long: "Deletes a project for good: its sessions end, and nothing of it can be read or changed any more. Verifiers find its keys and revocations until its last token has expired; then a running server removes all that the project has, and its id is unknown.",
		Args: none,
	}, needStore, func(c *cobra.Command, app *server.App, _ []string) error {
		if confirm == "" {
			return usagef("a project is deleted with everything in it, for good: --confirm wants its id; latchkey project list shows them")
		}
		p, err := id.ParseProject(confirm)
		if err != nil {
			return usagef("%q is no project id; latchkey project list shows them", confirm)
		}
		gone, err := app.Directory.DeleteProject(c.Context(), p, byCLI)
		if err != nil {
			return err
		}
		return t.show(projectOf(gone), func() {
			t.printf("project %s is deleted; a running server removes what is left of it once its last token has expired\n", gone.ID)
		})
	})
	c.Flags().StringVar(&confirm, "confirm", "", "id of the project to delete")
	return c
}

func projectFlag(c *cobra.Command, project *string) {
	c.Flags().StringVar(project, "project", "", "project id; may be left out when there is one project")
}
