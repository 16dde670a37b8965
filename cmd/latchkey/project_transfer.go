package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/transfer"
)

// transfers is the service of exports and imports on a store.
func transfers(app *server.App) (*transfer.Service, error) {
	return transfer.New(transfer.Deps{Store: app.Store, Directory: app.Directory, Webhooks: app.Webhooks, Tokens: app.Tokens, Now: app.Now, Pause: makeWay})
}

// mostWay bounds a pause: on a machine that is slow because of others, long ones would help
// nobody.
const mostWay = 20 * time.Millisecond

// makeWay lets a running server, which looks again and again whether the store is free,
// have its turn about half of the time.
func makeWay(ctx context.Context, busy time.Duration) {
	wait := time.NewTimer(min(busy, mostWay))
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}

type exportJSON struct {
	Project string          `json:"project"`
	File    string          `json:"file"`
	Lines   transfer.Counts `json:"lines"`
}

func projectExportCommand(t *terminal) *cobra.Command {
	var out string
	c := t.onStore(&cobra.Command{
		Use: "export PROJECT", Short: "Write a project to a file of JSON lines",
		Long: "Writes name and settings, permissions, roles, tenants, users, access keys (without their secrets), templates, sign-in actions and webhooks of a project as JSON lines, to standard output or with --out to a file that only you can read. Sessions, signing keys and secrets are never in it. latchkey project import reads it.",
		Args: one("the project's id"),
	}, needStore, func(c *cobra.Command, app *server.App, args []string) error {
		p, err := pickProject(c, app, args[0])
		if err != nil {
			return err
		}
		s, err := transfers(app)
		if err != nil {
			return err
		}
		show := t.progress()
		write := func(to io.Writer) (counts transfer.Counts, err error) {
			counts, err = s.Export(c.Context(), p, to, func(n transfer.Counts) { show.show("exported %d users", n[transfer.User]) })
			show.done()
			return counts, err
		}
		if out == "" {
			_, err = write(t.out)
			return err
		}
		counts, err := intoFile(out, write)
		if err != nil {
			return err
		}
		return t.show(exportJSON{p.String(), out, counts}, func() {
			t.printf("exported %s to %s\n", t.counted(counts), out)
		})
	})
	c.Flags().StringVar(&out, "out", "", "file to write; standard output when left out")
	return c
}

// counted says how many lines of each kind there are.
func (t *terminal) counted(counts transfer.Counts) string {
	text := ""
	for _, k := range transfer.Kinds() {
		if k == transfer.Project {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += count(counts[k], string(k))
	}
	return text
}

// intoFile writes a file whole or not at all, readable by its owner only: it holds what is
// known of people.
func intoFile(path string, write func(io.Writer) (transfer.Counts, error)) (transfer.Counts, error) {
	draft, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return nil, err
	}
	counts, err := write(draft)
	if err == nil {
		err = draft.Sync()
	}
	if err = errors.Join(err, draft.Close()); err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		os.Remove(draft.Name())
	}
	return counts, err
}

type importJSON struct {
	Project string `json:"project"`
	New     bool   `json:"new,omitempty"`
	DryRun  bool   `json:"dryRun,omitempty"`
	Applied bool   `json:"applied"`
	transfer.Report
	ManagementKey string     `json:"managementKey,omitempty"`
	VerifyKey     string     `json:"verifyKey,omitempty"`
	Webhooks      []hookJSON `json:"webhooks,omitempty"`
}

// hookJSON is a webhook that was added. Its secret is shown here and never again.
type hookJSON struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// importing is one call of project import.
type importing struct {
	t       *terminal
	c       *cobra.Command
	app     *server.App
	s       *transfer.Service
	file    *os.File
	name    string // of the project, as the file has it
	project string
	anew    bool
	dryRun  bool
	target  transfer.Target
	out     importJSON
}

func projectImportCommand(t *terminal) *cobra.Command {
	i := importing{t: t}
	c := t.onStore(&cobra.Command{
		Use: "import FILE", Short: "Read a project, or users made by hand, from JSON lines",
		Long: "Reads a file of latchkey project export, or one made by hand. Everything that is wrong with it is shown at once, with its line, and then nothing is changed. Otherwise each line makes what it names what it says; what is there and isn't named stays. An import that was interrupted is repeated as it is.\n\n" +
			"It goes into the project that the file is of, which is made if the store doesn't have it; with --project into another one, and with --new into one with an id of its own. A file that names no project goes into the only one there is.",
		Args: one("the file"),
	}, needMaster, func(c *cobra.Command, app *server.App, args []string) error {
		i.c, i.app = c, app
		return i.run(args[0])
	})
	c.Flags().StringVar(&i.project, "project", "", "id of the project to import into")
	c.Flags().BoolVar(&i.anew, "new", false, "make a new project with an id of its own")
	c.Flags().BoolVar(&i.dryRun, "dry-run", false, "check and say what would change, and change nothing")
	return c
}

func (i *importing) run(path string) error {
	if i.anew && i.project != "" {
		return usagef("--new makes a project, --project names one: give one or the other")
	}
	var err error
	if i.file, err = os.Open(path); err != nil {
		return err
	}
	defer i.file.Close()
	if info, err := i.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return usagef("%s isn't a file: an import is read twice, to check it whole before anything is changed", path)
	}
	if i.s, err = transfers(i.app); err != nil {
		return err
	}
	if err := i.aim(); err != nil {
		return err
	}
	found, err := i.check()
	if err != nil || i.dryRun {
		return err
	}
	return i.apply(found)
}

// aim finds the project that the file goes into.
func (i *importing) aim() error {
	i.target.Origin = byCLI
	of, name, err := transfer.Head(i.file)
	if err != nil {
		return err
	}
	i.name = name
	switch {
	case i.anew:
		i.target.Project, i.target.New = id.NewProject(i.app.Now()), true
	case i.project != "" || of.IsZero():
		i.target.Project, err = pickProject(i.c, i.app, i.project)
	default:
		var there directory.Project
		i.target.Project = of
		there, err = i.app.Directory.Project(i.c.Context(), of)
		if fault.KindOf(err) == fault.NotFound {
			i.target.New, err = true, nil
		}
		if there.Status == directory.Deleted {
			err = fmt.Errorf("project %s was deleted at %s; --new imports into another one", of, when(there.DeletedAt))
		}
	}
	i.out = importJSON{Project: i.target.Project.String(), New: i.target.New, DryRun: i.dryRun}
	return err
}

// pass reads the file from its beginning.
func (i *importing) pass(what string, do func(progress func(int)) (transfer.Report, error)) (transfer.Report, error) {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return transfer.Report{}, err
	}
	show := i.t.progress()
	defer show.done()
	return do(func(lines int) { show.show("%s %d lines", what, lines) })
}

func (i *importing) check() (transfer.Report, error) {
	found, err := i.pass("checked", func(progress func(int)) (transfer.Report, error) {
		return i.s.Check(i.c.Context(), i.target, i.file, progress)
	})
	i.out.Report = found
	if err != nil {
		return found, err
	}
	if found.Found > 0 {
		if err := i.t.show(i.out, func() { i.t.problems(found) }); err != nil {
			return found, err
		}
		return found, &foundError{"nothing was imported: " + count(found.Found, "problem") + " in the file"}
	}
	if !i.dryRun {
		return found, nil
	}
	found, err = i.pass("measured", func(progress func(int)) (transfer.Report, error) {
		return i.s.Measure(i.c.Context(), i.target, i.file, found, progress)
	})
	if i.out.Report = found; err != nil {
		return found, err
	}
	return found, i.t.show(i.out, func() {
		i.t.outcome(found)
		i.t.long(found)
		i.t.printf("This was a dry run: nothing was changed.\n")
	})
}

// problems shows what is wrong with a file.
func (t *terminal) problems(r transfer.Report) {
	for _, p := range r.Problems {
		at := ""
		if p.Pointer != "" {
			at = " " + wire.Printable(p.Pointer, maxCell)
		}
		t.printf("line %d%s: %s\n", p.Line, at, wire.Printable(p.Detail, maxCell))
	}
	if more := r.Found - len(r.Problems); more > 0 {
		t.printf("and %s more\n", count(more, "problem"))
	}
	t.printf("\nNothing was changed.\n")
}

// outcome shows what becomes of the lines.
func (t *terminal) outcome(r transfer.Report) {
	var rows [][]string
	for _, k := range transfer.Kinds() {
		if c, any := r.Outcome[k]; any {
			rows = append(rows, []string{string(k), strconv.Itoa(c.Added), strconv.Itoa(c.Changed), strconv.Itoa(c.Same)})
		}
	}
	t.table("KIND | NEW | CHANGED | SAME", rows)
}

// long shows whose tokens would be too long.
func (t *terminal) long(r transfer.Report) {
	if r.TooLong == 0 {
		return
	}
	t.printf("\nSession tokens of %s would be too long. What a template adds is left out of them, and then what is granted:\n", count(r.TooLong, "user"))
	for _, l := range r.Long {
		t.printf("line %d %s %s: %d bytes, %d are allowed\n", l.Line, l.User, wire.Printable(l.LoginID, maxCell), l.Bytes, l.Limit)
	}
	if more := r.TooLong - len(r.Long); more > 0 {
		t.printf("and %s more\n", count(more, "user"))
	}
	t.printf("\n")
}

func (i *importing) apply(found transfer.Report) error {
	if i.target.New {
		name := i.name
		if name == "" {
			name = "imported"
		}
		if _, err := i.app.CreateProjectAs(i.c.Context(), i.target.Project, name, byCLI); err != nil {
			return err
		}
		fmt.Fprintf(i.t.err, "latchkey: importing into the new project %s\n", i.target.Project)
	}
	applied, err := i.pass("applied", func(progress func(int)) (transfer.Report, error) {
		return i.s.Apply(i.c.Context(), i.target, i.file, found, progress)
	})
	if err != nil {
		// Nobody learns these secrets again: who repeats the import finds the webhooks there.
		if i.hooks(applied); len(i.out.Webhooks) > 0 {
			i.out.Report = applied
			err = errors.Join(err, i.t.show(i.out, i.showHooks))
		}
		for _, p := range applied.Problems {
			fmt.Fprintf(i.t.err, "latchkey: line %d %s: %s\n", p.Line, p.Pointer, wire.Printable(p.Detail, maxCell))
		}
		return fmt.Errorf("the import stopped after %s and can be repeated, with --project %s: %w", count(applied.Lines, "line"), i.target.Project, err)
	}
	i.out.Report, i.out.Applied = applied, true
	if i.target.New {
		i.out.Outcome[transfer.Project] = transfer.Change{Added: 1} // just before
	}
	i.hooks(applied)
	keysErr := i.keys()
	err = i.t.show(i.out, func() {
		i.t.printf("project         %s\n", i.out.Project)
		if i.out.ManagementKey != "" {
			i.t.printf("management key  %s\nverify key      %s\n\nThe keys are shown this once; only digests of them are kept.\n", i.out.ManagementKey, i.out.VerifyKey)
		}
		i.t.printf("\n")
		i.t.outcome(i.out.Report)
		i.t.long(i.out.Report)
		i.showHooks()
	})
	return errors.Join(keysErr, err)
}

// hooks takes over the secrets of the webhooks that were added.
func (i *importing) hooks(r transfer.Report) {
	for _, h := range r.Secrets {
		i.out.Webhooks = append(i.out.Webhooks, hookJSON{h.Webhook.String(), h.Secret.Reveal()})
	}
}

func (i *importing) showHooks() {
	if len(i.out.Webhooks) == 0 {
		return
	}
	var rows [][]string
	for _, h := range i.out.Webhooks {
		rows = append(rows, []string{h.ID, h.Secret})
	}
	i.t.printf("\n")
	i.t.table("WEBHOOK | SECRET", rows)
	i.t.printf("\nThese webhooks are new here and disabled: give each receiver its secret, which is shown this once, and then enable them.\nThey get what happens from then on.\n")
}

// keys makes the first keys of a project that has none, such as one that was imported: nobody
// could use it.
func (i *importing) keys() error {
	have, err := i.app.Directory.Keys(i.c.Context(), i.target.Project, id.ManagementKey{}, 1)
	if err != nil || len(have) > 0 {
		return err
	}
	if i.out.ManagementKey, err = newKey(i.c, i.app, i.target.Project, "first", secret.Management); err != nil {
		return err
	}
	i.out.VerifyKey, err = newKey(i.c, i.app, i.target.Project, "first", secret.Verify)
	return err
}
