package native

import (
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/token"
)

// optional returns nil for the zero time, so that the member is left out.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// list returns an empty list for nil, because clients expect the array.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func (f *Face) tokenSet(set token.Set) latchkey.TokenSet {
	return latchkey.TokenSet{
		SessionToken: set.Session.Reveal(), SessionExpiresAt: set.SessionExpiresAt,
		RefreshToken: set.Refresh.Reveal(), RefreshExpiresAt: set.RefreshExpiresAt,
		Session: renderSession(session.Found{Row: set.Row, Status: session.Active}), ServerTime: set.At,
	}
}

func renderSession(s session.Found) latchkey.Session {
	out := latchkey.Session{
		ID: s.ID.String(), User: s.User.String(), State: string(s.Status), EndReason: string(s.Reason),
		CreatedAt: s.CreatedAt, AuthTime: s.AuthTime, LastSeenAt: s.LastSeen(), ExpiresAt: s.ExpiresAt(), EndedAt: optional(s.EndedAt),
		AMR: list(s.AMR), Device: latchkey.Device(s.Device), Network: renderNetwork(s.Context), Agent: s.Context.Agent,
		Claims: s.Claims, NSec: s.NSec, Tenant: s.Tenant.String(), Actor: s.Actor,
	}
	if !s.StepUpUntil.IsZero() {
		out.StepUp = &latchkey.StepUp{Until: s.StepUpUntil, AMR: list(s.StepUpAMR)}
	}
	return out
}

func renderNetwork(c session.Context) string {
	if !c.Network.IsValid() {
		return ""
	}
	return c.Network.String()
}

func renderTrace(s session.Found) latchkey.Trace {
	t := latchkey.Trace{Session: renderSession(s), Entries: make([]latchkey.TraceEntry, len(s.Trace.Entries)), Dropped: s.Trace.Dropped}
	for i, e := range s.Trace.Entries {
		t.Entries[i] = latchkey.TraceEntry{
			At: e.At, Rule: e.Rule.Word(), Why: e.Why(), Token: e.Token.String(), Issued: e.Issued.String(),
			Network: renderNetwork(e.Context), Agent: e.Context.Agent, Foreign: e.Foreign, Count: e.Count,
		}
		if e.Count > 1 {
			t.Entries[i].LastAt = optional(e.Last)
		}
	}
	return t
}

func renderKey(k key.Key) latchkey.SigningKey {
	out := latchkey.SigningKey{
		ID: k.ID.String(), Algorithm: string(k.Algorithm), State: string(k.State), CreatedAt: k.CreatedAt,
		ActivatedAt: optional(k.ActivatedAt), RetiredAt: optional(k.RetiredAt), GoneAt: optional(k.GoneAt),
	}
	if k.State == key.Next {
		out.ActivatesAt = optional(k.ActivatesAt)
	}
	return out
}

func renderManagementKey(k directory.ManagementKey) latchkey.ManagementKey {
	out := latchkey.ManagementKey{
		ID: k.ID.String(), Name: k.Name, Kind: string(k.Kind), Scopes: []string{}, Networks: []string{},
		CreatedAt: k.CreatedAt, ExpiresAt: optional(k.ExpiresAt),
	}
	for _, scope := range directory.Scopes() {
		if k.May(scope) {
			out.Scopes = append(out.Scopes, string(scope))
		}
	}
	for _, n := range k.Networks {
		out.Networks = append(out.Networks, n.String())
	}
	return out
}
