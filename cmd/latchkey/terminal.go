package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
)

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	json     bool
}

// show prints v as JSON with --json, and calls people otherwise.
func (t *terminal) show(v any, people func()) error {
	if t.json {
		return t.encode(t.out, v)
	}
	people()
	return nil
}

func (t *terminal) encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (t *terminal) printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// maxCell bounds a cell of a table in bytes. Names of devices and projects were chosen by
// somebody else, who must not get to steer the terminal of whoever looks at them.
const maxCell = 1000

// table prints rows with aligned columns under a heading.
func (t *terminal) table(heading string, rows [][]string) {
	w := tabwriter.NewWriter(t.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heading, " | ", "\t"))
	for _, row := range rows {
		for i, value := range row {
			row[i] = wire.Printable(value, maxCell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
}

// when prints a time for people: in UTC, and "-" for none.
func when(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04:05Z")
}

// interactive reports whether w is a terminal that a person looks at.
func interactive(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress shows how far long work has come, on a terminal only: a log file has no use
// for a hundred half lines.
type progress struct {
	w     io.Writer
	on    bool
	last  time.Time
	width int
}

func (t *terminal) progress() *progress {
	return &progress{w: t.err, on: interactive(t.err) && !t.json}
}

// show replaces the line, at most ten times a second.
func (p *progress) show(format string, args ...any) {
	if !p.on || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.w, "\r%-*s", p.width, line)
	p.width = len(line)
}

// done takes the line away.
func (p *progress) done() {
	if p.on && p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
	}
}

func versionCommand(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: none,
		RunE: func(*cobra.Command, []string) error {
			return t.show(map[string]string{"version": version}, func() { t.printf("latchkey %s\n", version) })
		},
	}
}
