package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/claim"
)

// Actions are asked, one after the other, when a session is made and when it changes its
// tenant. They are immutable and safe for concurrent use.
type Actions struct {
	list  []action
	needs needs
}

// action is one of them.
type action struct {
	name     string
	when     *expression // nil: always
	claims   []namedValue
	audience []placed
	lifetime time.Duration // 0: left as it is
	idle     time.Duration
	require  Requirement
	deny     *Denial
}

// Requirement is what a session has to have shown.
type Requirement string

// The requirements.
const (
	MFA    Requirement = "mfa"
	StepUp Requirement = "stepUp"
)

// Denial is what somebody is told who is refused: the words of whoever runs the project.
type Denial struct {
	Code    string
	Message string
}

// Outcome is what sign-in actions say of a session. When Deny or Require is set, the
// session isn't made, or doesn't change, and the rest doesn't matter.
type Outcome struct {
	Action   string          // the name of the one that denies or requires
	Deny     *Denial         // nil: not denied
	Require  Requirement     // one that isn't met; "" for none
	Claims   json.RawMessage // canonical, as claim.Parse makes it; nil for none
	Audience []string
	Lifetime time.Duration // the session lives no longer than this; 0: not said
	Idle     time.Duration // nor longer than this without a refresh; 0: not said
	Failures []Failure
}

// Limits of what actions say.
const (
	maxMessage  = 500
	minLifetime = 3 * time.Minute
	minIdle     = 5 * time.Minute
	maxLifetime = 2 * 366 * 24 * time.Hour
)

// Actions compiles a list of sign-in actions; pointer is where the document stands in the
// request. The error is fault.TemplateInvalid with everything that is wrong.
func (c *Compiler) Actions(doc json.RawMessage, pointer string) (*Actions, error) {
	p := &parser{env: c.user, vars: ofUser, pointer: pointer}
	const refused = "The sign-in actions can't be used."
	members, ok := p.document(doc)
	if !ok {
		return nil, p.refusal(refused)
	}
	a := &Actions{}
	for _, m := range members {
		at := p.at("", m.name)
		switch {
		case m.name != "actions":
			p.unknown(at, "actions")
		case m.value.kind != listNode:
			p.refuse(at, "type", "A list is wanted.")
		case len(m.value.items) > MaxActions:
			p.refuse(at, "size", fmt.Sprintf("At most %d actions are allowed.", MaxActions))
		default:
			for i, item := range m.value.items {
				a.list = append(a.list, p.action(item, at+"/"+strconv.Itoa(i), a.list))
			}
		}
	}
	if err := p.refusal(refused); err != nil {
		return nil, err
	}
	a.needs = p.needs
	return a, nil
}

// actionName is what names of actions, and codes of denials, look like.
var actionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,59}$`)

func (p *parser) action(n node, at string, before []action) action {
	var a action
	if n.kind != objectNode {
		p.refuse(at, "type", "An object is wanted.")
		return a
	}
	effects := 0
	for _, m := range n.members {
		here := p.at(at, m.name)
		switch m.name {
		case "name":
			a.name = p.actionName(m.value, here)
			if slices.ContainsFunc(before, func(b action) bool { return b.name == a.name && a.name != "" }) {
				p.refuse(here, "duplicate", "Another action has this name.")
			}
			continue
		case "when":
			a.when = p.condition(m.value, here)
			continue
		case "claims":
			a.claims = p.claims(m.value, here)
		case "audience":
			a.audience = p.audience(m.value, here)
		case "lifetime":
			a.lifetime = p.duration(m.value, here, minLifetime)
		case "idle":
			a.idle = p.duration(m.value, here, minIdle)
		case "require":
			a.require = Requirement(p.word(m.value, here, "", string(MFA), string(StepUp)))
		case "deny":
			a.deny = p.denial(m.value, here)
		default:
			p.unknown(here, "name, when, claims, audience, lifetime, idle, require and deny")
		}
		effects++
	}
	if !slices.ContainsFunc(n.members, func(m member) bool { return m.name == "name" }) {
		p.refuse(at+"/name", "required", "A name is wanted: events and previews call the action by it.")
	}
	if effects == 0 {
		p.refuse(at, "required", "The action does nothing: claims, audience, lifetime, idle, require or deny is wanted.")
	}
	if a.deny != nil && effects > 1 {
		p.refuse(at, "contradiction", "An action that denies can do nothing else.")
	}
	return a
}

func (p *parser) actionName(n node, at string) string {
	if n.kind != stringNode || !actionName.MatchString(n.text) {
		p.refuse(at, "format", "1 to 60 letters, digits and ._:- are wanted, with a letter or digit first.")
		return ""
	}
	return n.text
}

func (p *parser) condition(n node, at string) *expression {
	switch n.kind {
	case boolNode:
		return p.compile(strconv.FormatBool(n.truth), at, cel.BoolType)
	case stringNode:
		// Templates want braces, so many write them here too; what CEL says of them is no help.
		if strings.HasPrefix(strings.TrimSpace(n.text), "{{") {
			p.refuse(at, "format", "A condition is an expression without {{ and }}.")
			return nil
		}
		return p.compile(n.text, at, cel.BoolType)
	}
	p.refuse(at, "type", "A condition is wanted: a text with an expression, without braces.")
	return nil
}

func (p *parser) duration(n node, at string, least time.Duration) time.Duration {
	d, err := latchkey.ParseDuration(n.text)
	if n.kind != stringNode || err != nil {
		p.refuse(at, "format", `A duration is wanted, such as "30m", "8h" or "7d".`)
		return 0
	}
	if d.Std() < least || d.Std() > maxLifetime {
		p.refuse(at, "range", fmt.Sprintf("%v to 2 years are wanted.", latchkey.Duration(least)))
	}
	return d.Std()
}

func (p *parser) denial(n node, at string) *Denial {
	if n.kind != objectNode {
		p.refuse(at, "type", "An object with code and message is wanted.")
		return nil
	}
	var d Denial
	for _, m := range n.members {
		here := p.at(at, m.name)
		switch m.name {
		case "code":
			d.Code = p.actionName(m.value, here)
		case "message":
			d.Message = m.value.text
			if m.value.kind != stringNode || d.Message == "" || utf8.RuneCountInString(d.Message) > maxMessage {
				p.refuse(here, "size", fmt.Sprintf("A text of 1 to %d characters is wanted.", maxMessage))
			}
		default:
			p.unknown(here, "code and message")
		}
	}
	if !slices.ContainsFunc(n.members, func(m member) bool { return m.name == "code" }) {
		p.refuse(at+"/code", "required", "A code is wanted, for clients to decide by.")
	}
	return &d
}

// Evaluate asks the actions in their order; the first that denies, or that requires what
// in doesn't show, is the last. It never fails as a whole. A condition that fails counts
// as met for an action that denies or requires, and as unmet for any other: a mistake
// lets nobody in.
func (a *Actions) Evaluate(in Input) Outcome {
	s := newScope(in, a.needs)
	var out Outcome
	claims := map[string]json.RawMessage{}
	for i, act := range a.list {
		at := "/actions/" + strconv.Itoa(i)
		if !act.applies(s, at, &out.Failures) {
			continue
		}
		if act.deny != nil {
			out.Action, out.Deny = act.name, act.deny
			break
		}
		if act.require != "" && !in.Session.shows(act.require) {
			out.Action, out.Require = act.name, act.require
			break
		}
		act.apply(s, claims, &out)
	}
	out.Claims = out.collect(claims)
	return out
}

// shows reports whether the session meets a requirement.
func (s *Session) shows(r Requirement) bool {
	return r == MFA && slices.Contains(s.AMR, "mfa") || r == StepUp && s.StepUp
}

func (a *action) applies(s *scope, at string, failures *[]Failure) bool {
	if a.when == nil {
		return true
	}
	v, why := a.when.eval(s)
	met, ok := v.(types.Bool)
	if ok && why == "" {
		return bool(met)
	}
	if why == "" {
		why = "The condition asks for a member that isn't there."
	}
	*failures = append(*failures, Failure{at + "/when", why})
	return a.deny != nil || a.require != ""
}

func (a *action) apply(s *scope, claims map[string]json.RawMessage, out *Outcome) {
	set, failures := evaluateClaims(s, a.claims, omit)
	out.Failures = append(out.Failures, failures...)
	if set != nil {
		// It was written as an object a moment ago. What two actions both say, the later
		// one decides.
		_ = json.Unmarshal(set, &claims)
	}
	for _, name := range evaluateAudience(s, a.audience, &out.Failures) {
		if !slices.Contains(out.Audience, name) && len(out.Audience) < MaxAudience {
			out.Audience = append(out.Audience, name)
		}
	}
	out.Lifetime = shorter(out.Lifetime, a.lifetime)
	out.Idle = shorter(out.Idle, a.idle)
}

// shorter returns the shorter of two durations, of which 0 says nothing.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// collect writes the claims of all actions. Too many of them are left out from the end.
func (o *Outcome) collect(claims map[string]json.RawMessage) json.RawMessage {
	if len(claims) == 0 {
		return nil
	}
	names := make([]string, 0, len(claims))
	for name := range claims {
		names = append(names, name)
	}
	slices.SortFunc(names, compareNames)
	if len(names) > claim.MaxCount {
		names = names[:claim.MaxCount]
		o.Failures = append(o.Failures, Failure{"/actions", fmt.Sprintf("There are more than %d claims.", claim.MaxCount)})
	}
	var out bytes.Buffer
	for i, name := range names {
		out.WriteByte("{,"[min(i, 1)])
		quoted, _ := json.Marshal(name)
		out.Write(quoted)
		out.WriteByte(':')
		out.Write(claims[name])
	}
	out.WriteByte('}')
	return out.Bytes()
}
