package transfer

import (
	"fmt"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

func (e *exporter) webhooks() error {
	list, err := e.s.d.Webhooks.List(e.ctx, e.p, id.Webhook{}, webhook.MaxPerProject)
	if err != nil {
		return err
	}
	for _, h := range list {
		record := webhookRecord{
			Kind: Webhook, ID: h.ID, URL: &h.URL, Types: given(h.Types), Description: &h.Description, Enabled: &h.Enabled, CreatedAt: &h.CreatedAt,
		}
		if err := e.write(Webhook, record); err != nil {
			return err
		}
	}
	return e.ctx.Err()
}

func (r *reading) webhookLine(n int, record webhookRecord) error {
	if at, twice := r.webhooks[record.ID]; twice {
		r.report.problem(n, "/id", "duplicate", fmt.Sprintf("Line %d has this id, too.", at))
		return nil
	}
	r.webhooks[record.ID] = n
	if err := r.knowHooks(); err != nil {
		return err
	}
	old, there, err := stored(r, func() (webhook.Hook, error) { return r.d.Webhooks.Find(r.ctx, r.target.Project, record.ID) })
	if err != nil {
		return err
	}
	change := webhook.Change{URL: record.URL, Types: record.Types, Description: record.Description}
	next, bad := change.Whole(old)
	r.report.fields(n, "", bad)
	if r.known.hooks[record.ID] = true; len(r.known.hooks) > webhook.MaxPerProject && !there {
		r.report.problem(n, "", "size", fmt.Sprintf("A project has at most %d webhooks.", webhook.MaxPerProject))
	}
	same := there && !next.Differs(old)
	r.report.count(Webhook, there, same)
	if !r.apply || r.report.Found > 0 || same {
		return nil
	}
	fresh, err := r.d.Webhooks.Adopt(r.ctx, r.target.Project, record.ID, change, r.at(record.CreatedAt), r.target.Origin)
	if err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	if !fresh.IsZero() {
		r.report.Secrets = append(r.report.Secrets, HookSecret{record.ID, fresh})
	}
	return nil
}

// knowHooks finds which webhooks there are.
func (r *reading) knowHooks() error {
	if r.known.hooks != nil {
		return nil
	}
	r.known.hooks = map[id.Webhook]bool{}
	if r.target.New {
		return nil
	}
	list, err := r.d.Webhooks.List(r.ctx, r.target.Project, id.Webhook{}, webhook.MaxPerProject)
	for _, h := range list {
		r.known.hooks[h.ID] = true
	}
	return err
}
