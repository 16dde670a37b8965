package memory

import (
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// The copies share nothing with their originals that could be changed through one of
// them, and keep times as every store does: UTC, whole milliseconds. A session's State
// comes with such times.

func copyProject(p directory.Project) directory.Project {
	p.Settings = copySettings(p.Settings)
	p.CreatedAt, p.DeletedAt = session.Instant(p.CreatedAt), session.Instant(p.DeletedAt)
	p.SealedMAC = slices.Clone(p.SealedMAC)
	return p
}

func copySettings(s latchkey.Settings) latchkey.Settings {
	s.Audience = slices.Clone(s.Audience)
	s.ApprovedOrigins = slices.Clone(s.ApprovedOrigins)
	s.ApprovedRedirects = slices.Clone(s.ApprovedRedirects)
	s.Cookies.PreviousDomains = slices.Clone(s.Cookies.PreviousDomains)
	return s
}

func copyUser(u directory.User) directory.User {
	u = u.Clone()
	u.CreatedAt, u.UpdatedAt = session.Instant(u.CreatedAt), session.Instant(u.UpdatedAt)
	return u
}

func copyTenant(t directory.Tenant) directory.Tenant {
	t = t.Clone()
	t.CreatedAt, t.UpdatedAt = session.Instant(t.CreatedAt), session.Instant(t.UpdatedAt)
	return t
}

func copyRole(r directory.Role) directory.Role {
	r.Permissions = slices.Clone(r.Permissions)
	r.CreatedAt, r.UpdatedAt = session.Instant(r.CreatedAt), session.Instant(r.UpdatedAt)
	return r
}

func copyPermission(p directory.Permission) directory.Permission {
	p.CreatedAt = session.Instant(p.CreatedAt)
	return p
}

func copyManagementKey(k directory.ManagementKey) directory.ManagementKey {
	k.Scopes, k.Networks = slices.Clone(k.Scopes), slices.Clone(k.Networks)
	k.CreatedAt, k.ExpiresAt = session.Instant(k.CreatedAt), session.Instant(k.ExpiresAt)
	return k
}

func copyAccessKey(k directory.AccessKey) directory.AccessKey {
	k = k.Clone()
	k.CreatedAt, k.UpdatedAt = session.Instant(k.CreatedAt), session.Instant(k.UpdatedAt)
	k.ExpiresAt, k.LastUsedAt = session.Instant(k.ExpiresAt), session.Instant(k.LastUsedAt)
	return k
}

func copyKey(k key.Key) key.Key {
	k.CreatedAt, k.ActivatesAt = session.Instant(k.CreatedAt), session.Instant(k.ActivatesAt)
	k.ActivatedAt, k.RetiredAt = session.Instant(k.ActivatedAt), session.Instant(k.RetiredAt)
	k.GoneAt = session.Instant(k.GoneAt)
	k.Sealed = slices.Clone(k.Sealed)
	return k
}

func copyRow(r session.Row) session.Row {
	r.AuthTime = session.Instant(r.AuthTime)
	r.AMR, r.Audience = slices.Clone(r.AMR), slices.Clone(r.Audience)
	r.Claims, r.NSec = slices.Clone(r.Claims), slices.Clone(r.NSec)
	r.Acted = session.Acted{Claims: slices.Clone(r.Acted.Claims), Audience: slices.Clone(r.Acted.Audience)}
	r.StepUpAt, r.StepUpUntil, r.StepUpAMR = session.Instant(r.StepUpAt), session.Instant(r.StepUpUntil), slices.Clone(r.StepUpAMR)
	r.IdleLimit = r.IdleLimit.Truncate(time.Millisecond)
	r.Trace.Entries = slices.Clone(r.Trace.Entries)
	for i, e := range r.Trace.Entries {
		r.Trace.Entries[i].At, r.Trace.Entries[i].Last = session.Instant(e.At), session.Instant(e.Last)
	}
	return r
}

func copyEvent(e audit.Event) audit.Event {
	e.At = session.Instant(e.At)
	if e.Data != nil {
		e.Data = copyValue(e.Data).(map[string]any)
	}
	return e
}

// copyValue copies what encoding/json makes of any document.
func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, value := range v {
			c[name] = copyValue(value)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, value := range v {
			c[i] = copyValue(value)
		}
		return c
	}
	return v
}
