package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// builtin is the sample that nobody has given: somebody with a bit of everything. The
// tenant is nobody's: its time is the beginning of all.
func builtin() latchkey.TemplateSample {
	tenant := id.Tenant{15: 1}
	person := latchkey.SampleHolder{
		LoginIDs: []string{"sam.sample@example.com"}, Name: "Sam Sample", Email: "sam.sample@example.com", Phone: "+15005550006",
		Roles: []string{"member"}, Permissions: []string{"read"},
		Tenants: []latchkey.SampleTenant{{Tenant: tenant.String(), Name: "Example", Roles: []string{"admin"}, Permissions: []string{"read", "write"}}},
	}
	return latchkey.TemplateSample{
		User: &person, Key: &person, Tenant: tenant.String(),
		Session: &latchkey.SampleSession{AMR: []string{"pwd"}},
	}
}

// sampler makes the session of a sample, and collects what is wrong with it.
type sampler struct {
	bad []fault.Field
}

func (s *sampler) refuse(pointer, code, detail string) {
	s.bad = append(s.bad, fault.Field{Pointer: "/sample" + pointer, Code: code, Detail: detail})
}

// attributes returns an object in canonical form.
func (s *sampler) attributes(raw json.RawMessage, pointer string) json.RawMessage {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		s.refuse(pointer, "type", "An object is wanted.")
		return nil
	}
	s.bad = append(s.bad, claim.Numbers(raw, "/sample"+pointer)...)
	out, err := json.Marshal(members)
	if err != nil {
		s.refuse(pointer, "format", "The object can't be read.")
	}
	return out
}

// authorization is what a sample may do.
func (s *sampler) authorization(h latchkey.SampleHolder, pointer string) *directory.Authorization {
	may := &directory.Authorization{Roles: sorted(h.Roles), Permissions: sorted(h.Permissions)}
	for i, t := range h.Tenants {
		at := fmt.Sprintf("%s/tenants/%d", pointer, i)
		tenant, err := id.ParseTenant(t.Tenant)
		if _, twice := may.In(tenant); err != nil || twice {
			s.refuse(at+"/tenant", "format", "The id of a tenant is wanted, each once: ten_ and 26 letters and digits.")
			continue
		}
		may.Tenants = append(may.Tenants, directory.TenantAuthorization{
			ID: tenant, Name: t.Name, Attributes: s.attributes(t.Attributes, at+"/attributes"), Roles: sorted(t.Roles), Permissions: sorted(t.Permissions),
		})
	}
	slices.SortFunc(may.Tenants, func(a, b directory.TenantAuthorization) int { return a.ID.Compare(b.ID) })
	return may
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// complete puts the built-in sample in where nothing was given.
func complete(given *latchkey.TemplateSample) latchkey.TemplateSample {
	out := builtin()
	if given == nil {
		return out
	}
	if given.User != nil || given.Key != nil {
		out.Tenant = "" // which was the built-in holder's
	}
	if given.User != nil {
		out.User = given.User
	}
	if given.Key != nil {
		out.Key = given.Key
	}
	if given.Tenant != "" {
		out.Tenant = given.Tenant
	}
	if given.Session != nil {
		out.Session = given.Session
	}
	return out
}

// sampled returns the session of a sample, as if it had been made at now.
func (p *project) sampled(given *latchkey.TemplateSample, asKey bool, now time.Time) (bearer, error) {
	sample := complete(given)
	s := &sampler{}
	who, pointer := *sample.User, "/user"
	if asKey {
		who, pointer = *sample.Key, "/key"
	}
	b := bearer{policy: p.policy, may: s.authorization(who, pointer), holder: directory.Holder{User: directory.User{
		ID: id.NewUser(now), Project: p.ID, LoginIDs: who.LoginIDs, Name: who.Name, Email: who.Email, Phone: who.Phone, Status: directory.Enabled,
		Attributes: s.attributes(who.Attributes, pointer+"/attributes"),
	}}}
	b.row = s.session(p, *sample.Session, b.holder.User.ID, now)
	if sample.Tenant != "" {
		tenant, err := id.ParseTenant(sample.Tenant)
		if _, member := b.may.In(tenant); err != nil || !member {
			s.refuse("/tenant", "unknown", "One of the sample's own tenants is wanted.")
		}
		b.row.Tenant = tenant
	} else if p.Settings.AutoTenant {
		b.row.Tenant = b.may.Sole()
	}
	if len(s.bad) > 0 {
		return bearer{}, fault.New(fault.Invalid, "The sample can't be used.").WithFields(s.bad...)
	}
	return b, nil
}

func (s *sampler) session(p *project, in latchkey.SampleSession, user id.User, now time.Time) session.Row {
	parse := func(raw json.RawMessage, name string, parse func(json.RawMessage, string) (json.RawMessage, error)) json.RawMessage {
		out, err := parse(raw, "/sample/session/"+name)
		if f := refusalOf(err); f != nil {
			s.bad = append(s.bad, f.Fields...)
		}
		return out
	}
	row := session.Row{
		ID: id.NewSession(now), Project: p.ID, User: user,
		State: session.State{Newest: id.NewRefresh(), RotatedAt: now, CreatedAt: now, AbsoluteAt: now.Add(p.policy.AbsoluteTimeout)},
		Profile: session.Profile{
			AuthTime: now, AMR: slices.Clone(in.AMR), Audience: slices.Clone(in.Audience), Actor: in.Actor, SigningKey: p.ring.Active(),
			Claims: parse(in.Claims, "claims", claim.Parse), NSec: parse(in.NSec, "nsec", claim.ParseUntrusted),
			Device: session.Device{Name: in.Device.Name, IP: in.Device.IP, UserAgent: in.Device.UserAgent},
		},
	}
	if p.policy.IdleTimeout > 0 {
		row.IdleAt = now.Add(p.policy.IdleTimeout)
	}
	if in.StepUp {
		row.StepUpAt, row.StepUpUntil, row.StepUpAMR = now, now.Add(p.policy.StepUpTTL), row.AMR
	}
	return row
}
