package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"

	"github.com/latchkey-dev/latchkey/internal/document"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// reading goes through a file once: to check it, or to apply it. Applying checks as well,
// since what is applied is what was understood.
type reading struct {
	*Service
	ctx      context.Context
	target   Target
	apply    bool
	wide     bool
	progress func(lines int)

	report  Report
	in      *reader
	framed  bool // there is a first line, so there has to be a last one
	ended   bool
	last    int // the last line that isn't blank
	counts  Counts
	known   known
	project int          // line of the project, 0 for none yet
	crowd   []pending    // users that are looked at together
	lengths *token.Gauge // nil: they aren't measured

	// The lines by what they name. Whole texts of millions of users would take too much
	// memory; that two of them have the same 64 bits by chance would refuse a file once
	// in millions of imports of this size.
	seed   maphash.Seed
	users  map[uint64]int
	logins map[uint64]int
	freed  map[uint64]bool // login ids that stored users lose

	keys, digests map[uint64]int // of access keys
	templates     map[document.Kind]int
	webhooks      map[id.Webhook]int
}

func (s *Service) reading(ctx context.Context, t Target, progress func(int)) *reading {
	return &reading{
		Service: s, ctx: ctx, target: t, progress: progress, counts: Counts{}, report: Report{Outcome: map[Kind]Change{}, partial: map[int]map[string]bool{}},
		known: newKnown(s.d.Store, t), seed: maphash.MakeSeed(), users: map[uint64]int{}, logins: map[uint64]int{}, freed: map[uint64]bool{},
		keys: map[uint64]int{}, digests: map[uint64]int{}, templates: map[document.Kind]int{}, webhooks: map[id.Webhook]int{},
	}
}

// all reads a whole file. While applying, whatever is wrong ends it.
func (r *reading) all(from io.Reader) error {
	r.in = newReader(from)
	for first := true; ; first = false {
		text, tooLong, err := r.in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", r.in.line, err)
		}
		if err := r.line(text, tooLong, first); err != nil {
			return err
		}
		if r.apply && r.report.Found > 0 {
			return errChanged
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	r.close()
	if r.apply && r.report.Found > 0 {
		return errChanged
	}
	r.progress(r.report.Lines)
	return nil
}

// close finds what is missing at the end.
func (r *reading) close() {
	clear(r.report.partial)
	switch {
	case r.report.Lines == 0:
		r.report.problem(1, "", "empty", "The file is empty.")
	case r.framed && !r.ended:
		r.report.problem(r.last, "", "truncated", `The file ends without its last line, {"kind":"end", …}: it was cut off.`)
	}
}

// every is after how many lines progress is told.
const every = 1000

// line reads one line. The error is one of the store, or of ctx.
func (r *reading) line(text []byte, tooLong, first bool) error {
	n := r.in.line
	r.last = n
	if r.report.Lines++; r.report.Lines%every == 0 {
		r.progress(r.report.Lines)
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	if tooLong {
		r.report.problem(n, "", "size", fmt.Sprintf("A line has at most %d bytes.", maxLine))
		return nil
	}
	var what struct {
		Kind     Kind
		Latchkey json.RawMessage
	}
	if err := wire.CheckText(text); err != nil {
		r.refused(n, "", err)
		return nil
	}
	// Members of a wrong type, and repeated ones, are found when the line is read whole.
	_ = json.Unmarshal(text, &what)
	switch {
	case r.ended:
		r.report.problem(n, "", "order", `Nothing stands behind the last line, {"kind":"end", …}.`)
		return nil
	case what.Latchkey != nil:
		r.head(n, text, first)
		return nil
	}
	return r.record(n, what.Kind, text)
}

func (r *reading) head(n int, text []byte, first bool) {
	if !first {
		r.report.problem(n, "", "order", `The line {"latchkey":"project", …} can only be the first one.`)
		return
	}
	r.framed = true
	var h header
	r.refused(n, "", wire.DecodeRaw(text, "", &h))
}

func (r *reading) record(n int, k Kind, text []byte) error {
	if k != User && len(r.crowd) > 0 {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.counts[k]++
	switch k {
	case Project:
		return decoded(r, n, text, r.projectLine)
	case Permission:
		return decoded(r, n, text, r.permissionLine)
	case Role:
		return decoded(r, n, text, r.roleLine)
	case Tenant:
		return decoded(r, n, text, r.tenantLine)
	case User:
		return decoded(r, n, text, r.userLine)
	case AccessKey:
		return decoded(r, n, text, r.accessKeyLine)
	case Template:
		return decoded(r, n, text, r.templateLine)
	case Webhook:
		return decoded(r, n, text, r.webhookLine)
	case end:
		return decoded(r, n, text, r.endLine)
	}
	var names []string
	for _, known := range Kinds() {
		names = append(names, string(known))
	}
	r.report.problem(n, "/kind", "unknown", fmt.Sprintf("A line is of one of the kinds %s and %s.", strings.Join(names, ", "), end))
	return nil
}

// decoded reads a line into its type and hands it on, unless it can't be read.
func decoded[T any](r *reading, n int, text []byte, do func(n int, record T) error) error {
	var record T
	unknown, err := wire.DecodeRawKnown(text, "", &record)
	if r.refused(n, "", err) {
		return rest(r, n, text, err, do)
	}
	// What is wrong with the values is told as well, though not while something is applied.
	if r.report.fields(n, "", unknown); len(unknown) > 0 && r.apply {
		return nil
	}
	return do(n, record)
}

// refused notes why something was refused, and reports whether it was.
func (r *reading) refused(n int, below string, err error) bool {
	var refusal *fault.Error
	switch {
	case err == nil:
		return false
	case errors.As(err, &refusal) && len(refusal.Fields) > 0:
		r.report.fields(n, below, refusal.Fields)
	case errors.As(err, &refusal):
		r.report.problem(n, below, "format", refusal.Detail)
	default:
		r.report.problem(n, below, "format", err.Error())
	}
	return true
}

func (r *reading) endLine(n int, record endLine) error {
	r.ended = true
	var counts Counts
	if err := json.Unmarshal(record.Counts, &counts); err != nil {
		r.report.problem(n, "/counts", "type", "The number of lines of each kind is wanted.")
		return nil
	}
	for _, k := range Kinds() {
		if counts[k] != r.counts[k] {
			r.report.problem(n, "/counts/"+string(k), "truncated",
				fmt.Sprintf("There were %d lines of this kind when the file was written, and now there are %d.", counts[k], r.counts[k]))
		}
		delete(counts, k)
	}
	for k := range counts {
		r.report.problem(n, "/counts", "unknown", fmt.Sprintf("There is no kind %.60q.", string(k)))
	}
	return nil
}

// hash is what a text is remembered by.
func (r *reading) hash(text string) uint64 { return maphash.String(r.seed, text) }

// claim remembers that line n names something, and notes a problem when another one did.
func (r *reading) claim(seen map[uint64]int, key uint64, n int, pointer, what string) bool {
	if at, twice := seen[key]; twice && at != n { // within a line the line's own check finds it
		r.report.problem(n, pointer, "duplicate", fmt.Sprintf("Line %d has this %s, too.", at, what))
		return false
	}
	seen[key] = n
	return true
}

// Head returns the project that a file says it is of, and its name; zero when it says none
// before its first user.
func Head(from io.Reader) (id.Project, string, error) {
	in := newReader(from)
	for {
		text, _, err := in.next()
		if errors.Is(err, io.EOF) {
			return id.Project{}, "", nil
		}
		if err != nil {
			return id.Project{}, "", err
		}
		var what struct {
			Kind     Kind
			Latchkey json.RawMessage
			ID, Name string
		}
		if json.Unmarshal(text, &what) != nil || what.Latchkey == nil && what.Kind != Project {
			return id.Project{}, "", nil // what is wrong is Check's to say
		}
		if what.Kind == Project {
			p, err := id.ParseProject(what.ID)
			if err != nil {
				return id.Project{}, what.Name, nil
			}
			return p, what.Name, nil
		}
	}
}
