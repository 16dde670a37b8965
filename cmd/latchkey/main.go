// Command latchkey is the session layer of an application in one binary: it serves, it
// looks after the store, and it shows what was decided about a session and why.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process, so that it can be tested.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	t := &terminal{in: in, out: out, err: errOut}
	root := commands(t)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	// With --json what was found is on standard output, and there is nothing to add.
	if found := (*foundError)(nil); !t.json || !errors.As(err, &found) {
		t.fail(err)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// usageError is a command that was called wrongly: exit status 2.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func commands(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "latchkey",
		Short: "The session layer of your application: issues, refreshes, checks and ends sessions",
		Long: `Latchkey issues, refreshes, checks and ends the sessions of your application's users.

Try it:      latchkey dev
Run it:      latchkey migrate --store sqlite:///var/lib/latchkey/latchkey.db
             latchkey serve   --store sqlite:///var/lib/latchkey/latchkey.db --master-key-file master.key --public-url https://auth.example.com
Look at it:  latchkey session trace ses_…
             latchkey event tail`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("latchkey has no command %q; latchkey --help lists them", args[0])
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; %s --help lists the flags", err, c.CommandPath())
	})
	root.PersistentFlags().BoolVar(&t.json, "json", false, "print JSON, for machines")
	root.AddCommand(
		devCommand(t), serveCommand(t), migrateCommand(t), projectCommand(t), keyCommand(t), sessionCommand(t), eventCommand(t),
		tokenCommand(t), doctorCommand(t), benchCommand(t), versionCommand(t),
	)
	return root
}

// none refuses arguments, with a sentence.
func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, but %q was given", c.CommandPath(), args[0])
	}
	return nil
}

// one wants exactly one argument, which is what.
func one(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s wants one argument: %s", c.CommandPath(), what)
		}
		return nil
	}
}

// group is a command that only has subcommands.
func group(use, short string, sub ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%s has no command %q; %s --help lists them", c.CommandPath(), args[0], c.CommandPath())
			}
			return c.Help()
		},
	}
	c.AddCommand(sub...)
	return c
}

// fail prints an error as a sentence, or as the API's problem with --json.
func (t *terminal) fail(err error) {
	if t.json {
		kind := fault.KindOf(err)
		if errors.As(err, new(*usageError)) {
			kind = fault.Invalid
		}
		info := wire.Info(kind)
		t.encode(t.err, map[string]any{"code": info.Code, "terminal": info.Terminal, "detail": sentence(err)})
		return
	}
	fmt.Fprintln(t.err, "latchkey: "+sentence(err))
}

// sentence is what a person needs of an error: of a refusal its detail and fields.
func sentence(err error) string {
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Detail == "" {
		return err.Error()
	}
	s := refusal.Detail
	for _, f := range refusal.Fields {
		s += "\n  " + f.Pointer + ": " + f.Detail
	}
	if cause := errors.Unwrap(refusal); cause != nil {
		s += "\n  cause: " + cause.Error()
	}
	return s
}
