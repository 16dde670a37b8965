package directory

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

const (
	// domainAge is for how long a table of custom domains is believed. A change that
	// another process made counts after so long.
	domainAge = 2 * time.Second

	// domainShare bounds what reading the table takes of a server's time: it is believed
	// for so many times as long as reading it took.
	domainShare = 50

	domainPatience = 10 * time.Second

	domainPage = 500
)

// domains is every custom domain there is. Holding all of them, not those that were
// asked for, makes a Host header that a stranger made up cost a look into a map: junk
// neither fills a cache nor reaches the store more often than anything else does.
type domains struct {
	mu      sync.Mutex
	table   map[string]id.Project // replaced, never changed
	until   time.Time             // when it is to be read again
	reading chan struct{}         // closed when the read that is under way has ended
	changes int                   // grows with forget: a read that began before is outdated
}

// ProjectAt returns the project whose custom domain host is: a name in lower case,
// without port. It doesn't ask the store about host: the table of all custom domains is
// read every few seconds while there are requests. A change made through this Service
// counts at once. When the store can't be read, the table that is known stays in use,
// and an error is returned only before there is one.
func (s *Service) ProjectAt(ctx context.Context, host string) (id.Project, bool, error) {
	table, err := s.domains.current(ctx, s.projects, s.now)
	if err != nil {
		return id.Project{}, false, err
	}
	p, ok := table[host]
	return p, ok, nil
}

// forget makes the next request read the table again, and wait for it.
func (d *domains) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table, d.changes = nil, d.changes+1
}

// current returns the table. One caller reads it when it is old, and the others use the
// old one meanwhile; only when there is none they wait.
func (d *domains) current(ctx context.Context, from ProjectStore, now func() time.Time) (map[string]id.Project, error) {
	for {
		d.mu.Lock()
		table, reading := d.table, d.reading
		if table != nil && (reading != nil || now().Before(d.until)) {
			d.mu.Unlock()
			return table, nil
		}
		if reading == nil {
			d.reading = make(chan struct{})
			began := d.changes
			d.mu.Unlock()
			return d.read(ctx, from, now, began)
		}
		d.mu.Unlock()
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *domains) read(ctx context.Context, from ProjectStore, now func() time.Time, began int) (map[string]id.Project, error) {
	// A caller who goes away takes nothing from those who stay.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), domainPatience)
	defer cancel()
	start := now()
	fresh, err := listDomains(ctx, from)
	end := now()
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.reading)
	d.reading = nil
	if err != nil && d.table == nil {
		return nil, err
	}
	d.until = end.Add(max(domainAge, domainShare*end.Sub(start)))
	if err != nil {
		return d.table, nil // stale, and asked for again no sooner than a fresh one
	}
	if d.changes == began {
		d.table = fresh
	}
	return fresh, nil
}

func listDomains(ctx context.Context, from ProjectStore) (map[string]id.Project, error) {
	table := map[string]id.Project{}
	for after := ""; ; {
		page, err := from.Domains(ctx, after, domainPage)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			table[d.Host], after = d.Project, d.Host
		}
		if len(page) < domainPage {
			return table, nil
		}
	}
}
