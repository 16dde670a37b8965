package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

type lives struct{ *Store }

func (s lives) Change(ctx context.Context, p id.Project, change func(directory.Project) (directory.Project, []audit.Event, error)) (directory.Project, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Project{}, err
	}
	defer tx.end()
	found, err := tx.find(p)
	if err != nil {
		return directory.Project{}, err
	}
	old := found.Project
	changed, events, err := change(copyProject(old))
	if err != nil {
		return directory.Project{}, err
	}
	found.Project = old.Turned(changed, tx.now)
	if found.Epoch > old.Epoch {
		tx.revoke(old.Revocation(found.life(), tx.now))
	}
	tx.log(events...)
	return copyProject(found.Project), nil
}

// Erase counts a project as one row, with all that it has.
func (s lives) Erase(ctx context.Context, limit int) (int, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	removed := 0
	for _, p := range ascending(maps.Keys(tx.projects), id.Project{}, len(tx.projects)) {
		found := tx.projects[p]
		told := slices.ContainsFunc(tx.entries, func(e revocation.Entry) bool { return e.Project == p })
		if removed == limit || told || !found.Outlived(found.life(), tx.now) {
			continue
		}
		delete(tx.projects, p)
		maps.DeleteFunc(tx.events, func(_ id.Event, e audit.Entry) bool { return e.Project == p })
		maps.DeleteFunc(tx.webhooks, func(_ id.Webhook, h *hooked) bool { return h.Project == p })
		removed++
	}
	return removed, nil
}
