package transfer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/latchkey-dev/latchkey/internal/claim/template"
	"github.com/latchkey-dev/latchkey/internal/document"
)

// templates writes the versions that are in use. Their numbers are the store's own.
func (e *exporter) templates() error {
	for _, k := range document.Kinds() {
		state, err := e.s.d.Store.Documents().Find(e.ctx, e.p, k)
		if err != nil {
			return err
		}
		record := templateRecord{Kind: Template, Of: string(k)}
		for _, v := range []struct {
			n   int
			put func(documentRecord)
		}{
			{state.Stable, func(d documentRecord) { record.Stable = &d }},
			{state.Candidate, func(d documentRecord) {
				record.Candidate = &candidateRecord{state.Percent, d.Document, d.Comment, d.CreatedAt}
			}},
			{state.Previous, func(d documentRecord) { record.Previous = &d }},
		} {
			if v.n == 0 {
				continue
			}
			found, err := e.s.d.Store.Documents().Version(e.ctx, e.p, k, v.n)
			if err != nil {
				return err
			}
			v.put(documentRecord{found.Document, &found.Comment, &found.CreatedAt})
		}
		if record.Stable == nil && record.Candidate == nil {
			continue
		}
		if err := e.write(Template, record); err != nil {
			return err
		}
	}
	return e.ctx.Err()
}

func (r *reading) templateLine(n int, record templateRecord) error {
	k := document.Kind(record.Of)
	if at, twice := r.templates[k]; twice {
		r.report.problem(n, "/of", "duplicate", fmt.Sprintf("Line %d is about this template, too.", at))
		return nil
	}
	r.templates[k] = n
	w := document.Whole{Stable: r.edition(n, k, record.Stable, "/stable"), Previous: r.edition(n, k, record.Previous, "/previous")}
	if c := record.Candidate; c != nil {
		w.Candidate = r.edition(n, k, &documentRecord{c.Document, c.Comment, c.CreatedAt}, "/candidate")
		w.Percent = c.Percent
	}
	if k == document.User {
		r.report.outlook.templates = &w
	}
	there, same := false, false
	if !r.target.New {
		var err error
		if there, same, err = w.Foretell(r.ctx, r.d.Store.Documents(), r.target.Project, k); err != nil {
			return err
		}
	}
	if w.Stable == nil && (w.Previous != nil || w.Candidate == nil && !there) {
		r.report.problem(n, "/stable", "required", "The stable version is wanted.")
		return nil
	}
	r.report.count(Template, there, same)
	if !r.apply || r.report.Found > 0 || same {
		return nil
	}
	now := time.UnixMilli(r.d.Now().UnixMilli()).UTC()
	return w.Adopt(r.ctx, r.d.Store.Documents(), r.target.Project, k, now, r.target.Origin)
}

// edition reads one version, which has to be one that could be used: a document that was
// saved before the rules became stricter would otherwise fail at every token.
func (r *reading) edition(n int, k document.Kind, record *documentRecord, pointer string) *document.Edition {
	if record == nil {
		return nil
	}
	doc := json.RawMessage(bytes.Clone(record.Document))
	var compiled *template.Template // nil for sign-in actions, which conceal nothing
	var err error
	switch k {
	case document.SignIn:
		_, err = r.compiler.Actions(doc, pointer+"/document")
	case document.AccessKey:
		compiled, err = r.compiler.Template(doc, template.AccessKey, pointer+"/document")
	default:
		compiled, err = r.compiler.Template(doc, template.User, pointer+"/document")
	}
	r.refused(n, "", err)
	return &document.Edition{
		Document: doc, Comment: record.Comment, CreatedAt: r.at(record.CreatedAt), Conceals: err == nil && compiled != nil && compiled.Conceals(),
	}
}
