package transfer

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
)

// never is when an access key expires that doesn't.
const never = "never"

func (e *exporter) accessKeys() error {
	q := directory.AccessKeyQuery{Project: e.p, Limit: page}
	for more := true; more; {
		list, next, err := e.s.d.Store.AccessKeys().List(e.ctx, q)
		if err != nil {
			return err
		}
		for _, k := range list {
			// The key of somebody who has come since the users were written.
			if bytes.Compare(k.User[:], e.last[:]) > 0 {
				continue
			}
			if err := e.write(AccessKey, e.accessKey(k)); err != nil {
				return err
			}
		}
		q.After, more = next, !next.IsZero()
		if err := e.next(); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) accessKey(k directory.AccessKey) accessKeyRecord {
	roles, members := e.granted(k.Grants)
	networks := []string{}
	for _, n := range k.Networks {
		networks = append(networks, n.String())
	}
	digest, expires := hex.EncodeToString(k.Digest[:]), never
	if !k.ExpiresAt.IsZero() {
		expires = k.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	record := accessKeyRecord{
		Kind: AccessKey, ID: k.ID, Digest: &digest, Name: &k.Name, Description: &k.Description, Status: (*string)(&k.Status),
		Claims: object(k.Claims), Attributes: object(k.Attributes), Roles: &roles, Tenants: &members, Networks: &networks,
		ExpiresAt: &expires, CreatedAt: &k.CreatedAt,
	}
	if !k.User.IsZero() {
		record.User = &k.User
	}
	return record
}

func (r *reading) accessKeyLine(n int, record accessKeyRecord) error {
	if !r.claim(r.keys, r.hash(record.ID.String()), n, "/id", "id") {
		return nil
	}
	old, there, err := stored(r, func() (directory.AccessKey, error) {
		return r.d.Store.AccessKeys().Find(r.ctx, r.target.Project, record.ID)
	})
	if err != nil {
		return err
	}
	granted, err := r.granted(n, record.Roles, record.Tenants)
	if err != nil {
		return err
	}
	next := r.accessKey(n, record, old, there)
	next.Grants = granted.to(next.Grants)
	if err := r.digest(n, record.Digest, &next, there); err != nil {
		return err
	}
	if err := r.owner(n, record.User, &next, there); err != nil {
		return err
	}
	_, events := next.Turned(old, r.d.Now(), r.target.Origin)
	r.report.count(AccessKey, there, len(events) == 0)
	if !r.apply || r.report.Found > 0 || there && len(events) == 0 {
		return nil
	}
	return r.writeKey(n, next, there)
}

func (r *reading) writeKey(n int, next directory.AccessKey, there bool) error {
	start := time.Now()
	var err error
	if there {
		_, err = r.d.Store.AccessKeys().Change(r.ctx, r.target.Project, next.ID, func(old directory.AccessKey) (directory.AccessKey, []audit.Event, error) {
			turned, events := next.Turned(old, r.d.Now(), r.target.Origin)
			return turned, events, nil
		})
	} else {
		err = r.d.Store.AccessKeys().Insert(r.ctx, next, next.Created(r.d.Now(), r.target.Origin))
	}
	r.d.Pause(r.ctx, time.Since(start))
	if err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}

// accessKey returns the key as the line describes it, without what it refers to.
func (r *reading) accessKey(n int, record accessKeyRecord, old directory.AccessKey, there bool) directory.AccessKey {
	c := directory.AccessKeyChange{
		Name: record.Name, Description: record.Description, Status: (*directory.Status)(record.Status),
		Claims: bytes.Clone(record.Claims), Attributes: bytes.Clone(record.Attributes),
	}
	if record.Networks != nil {
		c.Networks = r.networks(n, *record.Networks)
	}
	if record.ExpiresAt != nil {
		c.ExpiresAt = r.expiry(n, *record.ExpiresAt)
	}
	base := old
	if !there {
		base = directory.AccessKey{ID: record.ID, Project: r.target.Project, Status: directory.Enabled, CreatedAt: r.at(record.CreatedAt), UpdatedAt: r.at(nil)}
	}
	next, bad := c.Whole(base)
	r.report.fields(n, "", bad)
	return next
}

func (r *reading) networks(n int, texts []string) *[]netip.Prefix {
	list := []netip.Prefix{}
	for i, text := range texts {
		network, wrong := directory.ParseNetwork(text)
		if wrong != "" {
			r.report.problem(n, fmt.Sprintf("/networks/%d", i), "format", wrong)
		}
		list = append(list, network)
	}
	return &list
}

func (r *reading) expiry(n int, text string) *time.Time {
	if text == never {
		return new(time.Time)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.IsZero() {
		r.report.problem(n, "/expiresAt", "format", "A time such as 2027-01-31T12:00:00Z is wanted, or never.")
		return nil
	}
	return &at
}

// digest gives the key its secret, which no other key may have: of two with the same one,
// nobody could say whose tokens are asked for.
func (r *reading) digest(n int, given *string, next *directory.AccessKey, there bool) error {
	if given == nil {
		if !there {
			r.report.problem(n, "/digest", "required", "A new access key needs the digest of its secret, as an export has it. One with a new secret is made by the API.")
		}
		return nil
	}
	raw, err := hex.DecodeString(*given)
	if err != nil || len(raw) != len(next.Digest) {
		r.report.problem(n, "/digest", "format", "A SHA-256 in 64 hexadecimal digits is wanted.")
		return nil
	}
	next.Digest = secret.Digest(raw)
	if !r.claim(r.digests, r.hash(string(raw)), n, "/digest", "secret") {
		return nil
	}
	// Also for a new project: the other key may be one of any project.
	other, err := r.d.Store.AccessKeys().FindByDigest(r.ctx, next.Digest)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return nil
	case err != nil:
		return err
	case other.ID != next.ID || other.Project != r.target.Project:
		r.report.problem(n, "/digest", "conflict", fmt.Sprintf("The access key %s of the project %s has this secret, and no two can.", other.ID, other.Project))
	}
	return nil
}

// owner finds whose key it is.
func (r *reading) owner(n int, given *id.User, next *directory.AccessKey, there bool) error {
	switch {
	case there && given != nil && *given != next.User:
		r.report.problem(n, "/user", "conflict", "The project has this access key as that of somebody else, and a key stays whose it is.")
		return nil
	case there || given == nil || given.IsZero():
		return nil
	}
	next.User = *given
	known, err := r.userThere(*given)
	if err != nil {
		return err
	}
	if !known {
		r.report.problem(n, "/user", "unknown", "There is no such user, neither before this line nor in the project.")
		return nil
	}
	if _, asked := r.known.keys[*given]; !asked && !r.target.New {
		q := directory.AccessKeyQuery{Project: r.target.Project, User: *given, Limit: directory.MaxUserKeys + 1}
		list, _, err := r.d.Store.AccessKeys().List(r.ctx, q)
		if err != nil {
			return err
		}
		r.known.keys[*given] = len(list)
	}
	if r.known.keys[*given]++; r.known.keys[*given] > directory.MaxUserKeys {
		r.report.problem(n, "/user", "size", fmt.Sprintf("A user has at most %d access keys.", directory.MaxUserKeys))
	}
	return nil
}

func (r *reading) userThere(u id.User) (bool, error) {
	if _, before := r.users[r.hash(u.String())]; before {
		return true, nil
	}
	_, there, err := stored(r, func() (directory.User, error) { return r.d.Store.Users().Find(r.ctx, r.target.Project, u) })
	return there, err
}
