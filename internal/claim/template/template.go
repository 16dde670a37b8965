// Package template owns the two documents that say what a project's tokens carry of
// their own: the template, which makes claims of a user or an access key, and the sign-in
// actions, which are asked when a session is made or changes its tenant. Both hold CEL
// expressions (github.com/google/cel-go) over plain values that the caller hands in.
//
// It is pure: an expression has no clock and no I/O, its cost is limited, and the same
// input gives the same bytes. It doesn't know where documents are kept (package
// document), nor how tokens are minted (package token).
//
//	text ──Compiler──▶ Template ──Evaluate(Input)──▶ Result
//	              └──▶ Actions  ──Evaluate(Input)──▶ Outcome
package template

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/google/cel-go/cel"

	"github.com/latchkey-dev/latchkey/internal/claim"
)

// Limits of a document.
const (
	MaxDocument    = 32 << 10 // bytes
	MaxExpressions = 200      // in a document
	MaxExpression  = 2000     // bytes of one
	MaxActions     = 50
	MaxAudience    = 20  // entries that a document adds
	MaxName        = 200 // bytes of an audience or a subject

	maxDepth = 8 // levels of objects and lists in a claim
)

// Compiler makes documents ready for use. It is safe for concurrent use.
type Compiler struct {
	user, key *cel.Env
}

// NewCompiler returns a Compiler.
func NewCompiler() (*Compiler, error) {
	user, err := environment(ofUser)
	if err != nil {
		return nil, err
	}
	key, err := environment(ofKey)
	return &Compiler{user, key}, err
}

// Holder is whose tokens a template is for; it decides which variables there are.
type Holder uint8

// The holders.
const (
	User      Holder = iota // user, tenant, session, project
	AccessKey               // key, tenant, project
)

// Authorization is which roles and permissions a token carries.
type Authorization string

// The shapes.
const (
	AllTenants    Authorization = "tenants"
	CurrentTenant Authorization = "currentTenant"
	None          Authorization = "none"
)

// empties is what becomes of a value that is empty: null, "", [], {}, or of a member that
// isn't there.
type empties string

const (
	omit     empties = "omit"
	writeNil empties = "null"
	keep     empties = "keep"
)

// Template makes claims. It is immutable and safe for concurrent use.
type Template struct {
	claims        []namedValue // ascending by name
	empty         empties
	authorization Authorization
	audience      []placed
	subject       *text
	constant      *Result // what it always says, when it has no expression
	needs         needs
}

// namedValue is a claim to be.
type namedValue struct {
	name    string
	pointer string
	value   value
}

// placed is a text and where it stands.
type placed struct {
	pointer string
	text    text
}

// Failure is a part of a document that couldn't be had this time. It is left out.
type Failure struct {
	Path   string // JSON pointer into the document
	Reason string // a sentence; it holds nothing of the values that it is about
}

// Result is what a template says of a token.
type Result struct {
	Claims        json.RawMessage // canonical, as claim.Parse makes it; nil for none
	Audience      []string        // to be added
	Subject       string          // instead of the holder's id; "" keeps that
	Authorization Authorization
	Failures      []Failure // in the order of the document's members
}

// Template compiles a template; pointer is where the document stands in the request. The
// error is fault.TemplateInvalid with everything that is wrong.
func (c *Compiler) Template(doc json.RawMessage, of Holder, pointer string) (*Template, error) {
	p := &parser{env: c.user, vars: ofUser, pointer: pointer}
	if of == AccessKey {
		p.env, p.vars = c.key, ofKey
	}
	t := &Template{empty: omit, authorization: AllTenants}
	members, ok := p.document(doc)
	if !ok {
		return nil, p.refusal("The template can't be used.")
	}
	for _, m := range members {
		at := p.at("", m.name)
		switch m.name {
		case "claims":
			t.claims = p.claims(m.value, at)
		case "emptyClaims":
			t.empty = empties(p.word(m.value, at, string(omit), string(omit), string(writeNil), string(keep)))
		case "authorization":
			t.authorization = Authorization(p.word(m.value, at, string(AllTenants), string(AllTenants), string(CurrentTenant), string(None)))
		case "audience":
			t.audience = p.audience(m.value, at)
		case "subject":
			t.subject = p.subject(m.value, at)
		default:
			p.unknown(at, "claims, emptyClaims, authorization, audience and subject")
		}
	}
	if err := p.refusal("The template can't be used."); err != nil {
		return nil, err
	}
	t.needs = p.needs
	if p.expressions == 0 {
		constant := t.evaluate(&scope{})
		t.constant = &constant
	}
	return t, nil
}

// foreignSubject says why a subject isn't taken, also when it is known only once a token
// is made.
const foreignSubject = "The subject looks like an identifier of this server: it could pass for somebody else."

func (p *parser) subject(n node, at string) *text {
	if n.kind != stringNode || n.text == "" {
		p.refuse(at, "type", "A text is wanted that isn't empty.")
		return nil
	}
	t := p.text(n.text, at)
	if t.constant() {
		if why := nameRefusal(n.text); why != "" {
			p.refuse(at, "format", why)
		} else if foreignID(n.text) {
			p.refuse(at, "reserved", foreignSubject)
		}
	}
	return &t
}

func (p *parser) audience(n node, at string) []placed {
	if n.kind != listNode {
		p.refuse(at, "type", "A list of texts is wanted.")
		return nil
	}
	if len(n.items) > MaxAudience {
		p.refuse(at, "size", "At most "+strconv.Itoa(MaxAudience)+" entries are allowed.")
		return nil
	}
	var list []placed
	for i, item := range n.items {
		here := at + "/" + strconv.Itoa(i)
		if item.kind != stringNode {
			p.refuse(here, "type", "A text is wanted.")
			continue
		}
		t := p.text(item.text, here)
		if t.constant() {
			if why := nameRefusal(item.text); why != "" {
				p.refuse(here, "format", why)
			}
		}
		list = append(list, placed{p.relative(here), t})
	}
	return list
}

// Evaluate says what the template makes of in. It never fails as a whole: what can't be
// had is left out and told in Failures.
func (t *Template) Evaluate(in Input) Result {
	if t.constant != nil {
		return *t.constant
	}
	return t.evaluate(newScope(in, t.needs))
}

func (t *Template) evaluate(s *scope) Result {
	out := Result{Authorization: t.authorization}
	out.Claims, out.Failures = evaluateClaims(s, t.claims, t.empty)
	out.Audience = evaluateAudience(s, t.audience, &out.Failures)
	if t.subject != nil {
		out.Subject = t.subject.name(s, "/subject", &out.Failures)
		if foreignID(out.Subject) {
			out.Failures = append(out.Failures, Failure{"/subject", foreignSubject})
			out.Subject = ""
		}
	}
	return out
}

// evaluateAudience returns what the texts name. An expression may give a whole list.
func evaluateAudience(s *scope, list []placed, failures *[]Failure) []string {
	var out []string
	for _, entry := range list {
		names, why := entry.text.names(s)
		if why != "" {
			*failures = append(*failures, Failure{entry.pointer, why})
			continue
		}
		for _, name := range names {
			if slices.Contains(out, name) {
				continue
			}
			if len(out) == MaxAudience {
				*failures = append(*failures, Failure{entry.pointer, "There are more than " + strconv.Itoa(MaxAudience) + " entries."})
				return out
			}
			out = append(out, name)
		}
	}
	return out
}

// claims compiles an object of claims.
func (p *parser) claims(n node, at string) []namedValue {
	if n.kind != objectNode {
		p.refuse(at, "type", "An object is wanted.")
		return nil
	}
	if len(n.members) > claim.MaxCount {
		p.refuse(at, "size", "At most "+strconv.Itoa(claim.MaxCount)+" claims are allowed.")
		return nil
	}
	var list []namedValue
	for _, m := range n.members {
		here := p.at(at, m.name)
		p.claimName(m.name, here, list)
		v := p.value(m.value, here, 1)
		list = append(list, namedValue{m.name, p.relative(here), v})
	}
	slices.SortFunc(list, func(a, b namedValue) int { return compareNames(a.name, b.name) })
	return list
}

// Constant reports whether the template says the same of everybody.
func (t *Template) Constant() bool { return t.constant != nil }

// Conceals reports whether what the template makes may follow from roles, permissions or
// tenants of its holder that the token doesn't name: it leaves them out, and its
// expressions ask for them. The current tenant is always named.
func (t *Template) Conceals() bool {
	held := []string{"tenants"}
	switch t.authorization {
	case AllTenants:
		return false
	case None:
		held = []string{"tenants", "roles", "permissions"}
	}
	for _, member := range held {
		if t.needs.of("user", member) || t.needs.of("key", member) || member != "tenants" && t.needs.of("tenant", member) {
			return true
		}
	}
	return false
}
