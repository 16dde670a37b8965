package template

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
)

// Input is what expressions see. User and Session are for users and their sign-in
// actions, Key for access keys. Its members are looked at only when an expression asks
// for them, and never changed.
type Input struct {
	User    *Person
	Key     *Person
	Tenant  *Place // the current one; nil: none
	Session Session
	Project Project
}

// Person is a user or an access key. Of an access key only ID, Name, Attributes, Roles,
// Permissions and Tenants are seen.
type Person struct {
	ID          string
	LoginIDs    []string
	Name        string
	Email       string
	Phone       string
	Status      string
	Attributes  json.RawMessage // an object, or nil
	Roles       []string
	Permissions []string
	Tenants     []Place
}

// Place is a tenant, with what somebody may do there.
type Place struct {
	ID          string
	Name        string
	Attributes  json.RawMessage // an object, or nil
	Roles       []string
	Permissions []string
}

// Session is the session that a token belongs to, without its nsec: whatever an expression
// made of that would stand where only the project speaks, in a claim, the audience or the
// subject, and a client would choose it.
type Session struct {
	ID        string
	AMR       []string
	AuthTime  int64           // Unix seconds
	CreatedAt int64           // Unix seconds
	Claims    json.RawMessage // an object, or nil
	Audience  []string
	Device    Device
	Actor     string // who acts as the user; "" for nobody
	StepUp    bool
}

// Device is where the session lives.
type Device struct{ Name, IP, UserAgent string }

// Project is the project.
type Project struct{ ID, Name string }

// vocabulary is which variables there are, and the members of each: a name that isn't
// one of them is a mistake that is told when the document is saved.
type vocabulary map[string][]string

var (
	placeMembers = []string{"id", "name", "attributes", "roles", "permissions"}

	// ofUser and ofKey are never written to.
	ofUser = vocabulary{
		"user": {"id", "loginIds", "name", "email", "phone", "status", "attributes", "roles", "permissions", "tenants"},
		"session": {"id", "amr", "authTime", "claims", "audience", "createdAt", "device", "actor", "stepUp",
			"device.name", "device.ip", "device.userAgent"},
		"tenant": placeMembers, "project": {"id", "name"},
	}
	ofKey = vocabulary{
		"key":    {"id", "name", "attributes", "roles", "permissions", "tenants"},
		"tenant": placeMembers, "project": {"id", "name"},
	}
)

// needs is which members the expressions of a document ask for: "user" stands for all of
// them, "user.name" for one.
type needs map[string]bool

func (n needs) of(variable, member string) bool { return n[variable] || n[variable+"."+member] }

// scope is the input of one evaluation, made into values of CEL as they are asked for,
// and what its expressions have cost so far.
type scope struct {
	in     Input
	needs  needs
	values map[string]any
	spent  uint64
}

func newScope(in Input, n needs) *scope {
	return &scope{in: in, needs: n, values: make(map[string]any, 4)}
}

// ResolveName implements cel.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	if v, ok := s.values[name]; ok {
		return v, true
	}
	v := s.variable(name)
	if v == nil {
		return nil, false
	}
	s.values[name] = v
	return v, true
}

// Parent implements cel.Activation.
func (s *scope) Parent() cel.Activation { return nil }

func (s *scope) variable(name string) map[string]any {
	o := object{s.needs, name, map[string]any{}}
	switch {
	case name == "user" && s.in.User != nil:
		s.in.User.fill(o)
		o.add("loginIds", func() any { return list(s.in.User.LoginIDs) })
		o.add("email", func() any { return s.in.User.Email })
		o.add("phone", func() any { return s.in.User.Phone })
		o.add("status", func() any { return s.in.User.Status })
	case name == "key" && s.in.Key != nil:
		s.in.Key.fill(o)
	case name == "tenant":
		if s.in.Tenant != nil {
			s.in.Tenant.fill(o)
			o.add("id", func() any { return s.in.Tenant.ID })
		}
	case name == "session":
		s.in.Session.fill(o)
	case name == "project":
		o.add("id", func() any { return s.in.Project.ID })
		o.add("name", func() any { return s.in.Project.Name })
	}
	return o.members
}

// object is a variable on its way: members that nobody asks for aren't made.
type object struct {
	needs   needs
	name    string
	members map[string]any
}

func (o object) add(name string, make func() any) {
	if o.needs.of(o.name, name) {
		o.members[name] = make()
	}
}

func (p *Person) fill(o object) {
	o.add("id", func() any { return p.ID })
	o.add("name", func() any { return p.Name })
	o.add("attributes", func() any { return decode(p.Attributes) })
	o.add("roles", func() any { return list(p.Roles) })
	o.add("permissions", func() any { return list(p.Permissions) })
	o.add("tenants", func() any {
		all := make(map[string]any, len(p.Tenants))
		for _, t := range p.Tenants {
			part := object{needs{t.ID: true}, t.ID, map[string]any{}}
			t.fill(part)
			all[t.ID] = part.members
		}
		return all
	})
}

func (p *Place) fill(o object) {
	o.add("name", func() any { return p.Name })
	o.add("attributes", func() any { return decode(p.Attributes) })
	o.add("roles", func() any { return list(p.Roles) })
	o.add("permissions", func() any { return list(p.Permissions) })
}

func (s *Session) fill(o object) {
	o.add("id", func() any { return s.ID })
	o.add("amr", func() any { return list(s.AMR) })
	o.add("authTime", func() any { return s.AuthTime })
	o.add("createdAt", func() any { return s.CreatedAt })
	o.add("claims", func() any { return decode(s.Claims) })
	o.add("audience", func() any { return list(s.Audience) })
	o.add("device", func() any {
		return map[string]any{"name": s.Device.Name, "ip": s.Device.IP, "userAgent": s.Device.UserAgent}
	})
	o.add("actor", func() any { return s.Actor })
	o.add("stepUp", func() any { return s.StepUp })
}

// list returns a list that isn't nil, which CEL would take for null.
func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// decode returns an object's members; none when it is nil or damaged. Numbers without
// fraction are ints, so that they are written as they came, and can be counted with.
func decode(raw json.RawMessage) map[string]any {
	members := map[string]any{}
	if len(raw) == 0 {
		return members
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&members); err != nil || members == nil {
		return map[string]any{}
	}
	numbers(members)
	return members
}

// numbers replaces json.Number everywhere in v, which it returns.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = numbers(member)
		}
	case []any:
		for i, item := range v {
			v[i] = numbers(item)
		}
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			if n, err := v.Int64(); err == nil {
				return n
			}
		}
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			return v.String() // beyond what a float64 holds: its digits are kept
		}
		return f
	}
	return v
}
