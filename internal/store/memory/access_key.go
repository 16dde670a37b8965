package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

type accessKeys struct{ *Store }

func (p *project) accessKey(k id.AccessKey) (directory.AccessKey, error) {
	found, ok := p.accessKeys[k]
	if !ok {
		return directory.AccessKey{}, fault.New(fault.NotFound, "This project has no such access key.")
	}
	return found, nil
}

// accessKeyOf looks at the keys of all projects.
func (tx transaction) accessKeyOf(d secret.Digest) (directory.AccessKey, bool) {
	for _, p := range tx.projects {
		for _, k := range p.accessKeys {
			if k.Digest.Equal(d) {
				return k, true
			}
		}
	}
	return directory.AccessKey{}, false
}

// endAccessKeys tells verifiers of the enabled access keys of a user.
func (tx transaction) endAccessKeys(p *project, u id.User) {
	for _, k := range ascending(maps.Keys(p.accessKeys), id.AccessKey{}, len(p.accessKeys)) {
		if found := p.accessKeys[k]; found.User == u && found.Status == directory.Enabled {
			tx.revoke(found.Ended(p.life(), tx.now))
		}
	}
}

// removeAccessKeys removes the access keys of a user.
func (p *project) removeAccessKeys(u id.User) {
	maps.DeleteFunc(p.accessKeys, func(_ id.AccessKey, k directory.AccessKey) bool { return k.User == u })
}

func (s accessKeys) Insert(ctx context.Context, k directory.AccessKey, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	p, err := tx.find(k.Project)
	if err != nil {
		return err
	}
	if !k.User.IsZero() {
		if err := p.roomFor(k.User); err != nil {
			return err
		}
	}
	_, taken := p.accessKeys[k.ID]
	if _, same := tx.accessKeyOf(k.Digest); taken || same {
		return fault.New(fault.Conflict, "There is such an access key already.")
	}
	if k.Grants, err = k.Settle(directory.Grants{}, p); err != nil {
		return err
	}
	p.accessKeys[k.ID] = copyAccessKey(k)
	tx.log(e)
	return nil
}

// roomFor refuses an access key of somebody who isn't there or has too many.
func (p *project) roomFor(u id.User) error {
	if _, err := p.user(u); err != nil {
		return err
	}
	n := 0
	for _, k := range p.accessKeys {
		if k.User == u {
			n++
		}
	}
	if n >= directory.MaxUserKeys {
		return fault.New(fault.Conflict, "A user has at most %d access keys.", directory.MaxUserKeys)
	}
	return nil
}

func (s accessKeys) Find(ctx context.Context, p id.Project, k id.AccessKey) (directory.AccessKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.AccessKey{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.AccessKey{}, err
	}
	found, err := owner.accessKey(k)
	return copyAccessKey(found), err
}

func (s accessKeys) FindByDigest(ctx context.Context, d secret.Digest) (directory.AccessKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.AccessKey{}, err
	}
	defer tx.end()
	found, ok := tx.accessKeyOf(d)
	if !ok {
		return directory.AccessKey{}, fault.New(fault.NotFound, "There is no such access key.")
	}
	return copyAccessKey(found), nil
}

func (s accessKeys) Open(ctx context.Context, p id.Project, k id.AccessKey, d secret.Digest) (directory.Opened, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.Opened{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.Opened{}, err
	}
	found, err := owner.accessKey(k)
	if err != nil {
		return directory.Opened{}, err
	}
	if !found.Digest.Equal(d) {
		return directory.Opened{}, fault.New(fault.NotFound, "The access key has another secret.")
	}
	if used, changed := found.Used(tx.now); changed {
		found, owner.accessKeys[k] = used, used
	}
	out := directory.Opened{Key: copyAccessKey(found), Resolved: owner.resolve(found.Grants), At: tx.now, Behind: tx.latest.Sub(tx.now)}
	if u, ok := owner.users[found.User]; ok {
		out.User = new(copyUser(u))
	}
	return out, nil
}

// List looks at all keys: what bounds there are is another store's own.
func (s accessKeys) List(ctx context.Context, q directory.AccessKeyQuery) ([]directory.AccessKey, id.AccessKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, id.AccessKey{}, err
	}
	defer tx.end()
	owner, ok := tx.projects[q.Project]
	if !ok {
		return nil, id.AccessKey{}, nil
	}
	var all []directory.AccessKey
	for _, k := range ascending(maps.Keys(owner.accessKeys), q.After, len(owner.accessKeys)) {
		if q.Matches(owner.accessKeys[k]) {
			all = append(all, copyAccessKey(owner.accessKeys[k]))
		}
	}
	page, more := first(all, q.Limit)
	if !more {
		return page, id.AccessKey{}, nil
	}
	return page, page[len(page)-1].ID, nil
}

// Change runs change under the mutex: calling the store from within it would wait for
// itself.
func (s accessKeys) Change(ctx context.Context, p id.Project, k id.AccessKey, change func(directory.AccessKey) (directory.AccessKey, []audit.Event, error)) (directory.AccessKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return directory.AccessKey{}, err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return directory.AccessKey{}, err
	}
	old, err := owner.accessKey(k)
	if err != nil {
		return directory.AccessKey{}, err
	}
	changed, written, err := change(copyAccessKey(old))
	if err != nil {
		return directory.AccessKey{}, err
	}
	changed.ID, changed.Project, changed.User, changed.CreatedAt, changed.LastUsedAt = old.ID, old.Project, old.User, old.CreatedAt, old.LastUsedAt
	if other, taken := tx.accessKeyOf(changed.Digest); taken && (other.ID != k || other.Project != p) {
		return directory.AccessKey{}, fault.New(fault.Conflict, "Another access key has this secret.")
	}
	if changed.Grants, err = changed.Settle(old.Grants, owner); err != nil {
		return directory.AccessKey{}, err
	}
	owner.accessKeys[k] = copyAccessKey(changed)
	tx.revoke(changed.Entries(old, owner.life(), tx.now)...)
	tx.log(written...)
	return copyAccessKey(changed), nil
}

func (s accessKeys) Delete(ctx context.Context, p id.Project, k id.AccessKey, e audit.Event) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.end()
	owner, err := tx.find(p)
	if err != nil {
		return err
	}
	found, err := owner.accessKey(k)
	if err != nil {
		return err
	}
	delete(owner.accessKeys, k)
	tx.revoke(found.Ended(owner.life(), tx.now))
	tx.log(e)
	return nil
}

func (s accessKeys) Largest(ctx context.Context, p id.Project, limit int) ([]directory.AccessKey, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.end()
	owner, known := tx.projects[p]
	if !known {
		return nil, nil
	}
	var keys []directory.AccessKey
	for _, k := range owner.accessKeys {
		if k.Usable(tx.now) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b directory.AccessKey) int {
		return cmp.Or(cmp.Compare(b.Weight(), a.Weight()), b.ID.Compare(a.ID))
	})
	keys = keys[:min(max(limit, 0), len(keys))]
	for i := range keys {
		keys[i] = keys[i].Clone()
	}
	return keys, nil
}
