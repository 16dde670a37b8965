package audit

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
)

// Query selects events, newest first. Zero members don't restrict.
type Query struct {
	Project   id.Project
	Types     []Type
	Session   id.Session
	User      id.User
	Tenant    id.Tenant // named by the member tenant of Data
	Actor     Actor
	IP        string
	RequestID string
	From      time.Time // inclusive
	To        time.Time // exclusive
	Before    id.Event  // only events older than this one: where the page before has ended
	Limit     int       // at least 1
}

// Selects reports whether the query selects an event. Limit doesn't count.
func (q Query) Selects(e Event) bool {
	return e.Project == q.Project &&
		(len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(q.Session.IsZero() || e.Session == q.Session) &&
		(q.User.IsZero() || e.User == q.User) &&
		q.concerns(e) && q.during(e)
}

func (q Query) concerns(e Event) bool {
	return (q.Tenant.IsZero() || e.Data["tenant"] == q.Tenant.String()) &&
		(q.Actor == "" || e.Actor == q.Actor) &&
		(q.IP == "" || e.IP == q.IP) &&
		(q.RequestID == "" || e.RequestID == q.RequestID)
}

func (q Query) during(e Event) bool {
	return (q.From.IsZero() || !e.At.Before(q.From)) &&
		(q.To.IsZero() || e.At.Before(q.To)) &&
		(q.Before.IsZero() || e.ID.Compare(q.Before) < 0)
}

// ErrType is returned for what is neither a type of event nor a group of them.
var ErrType = errors.New("not a type of event")

// group is the end of a pattern that stands for all types of one noun.
const group = ".*"

// Match returns the types that patterns stand for, in the order of the vocabulary: a
// type, or a group such as "user.*". ErrType when one stands for nothing. No pattern
// stands for no type.
func Match(patterns ...string) ([]Type, error) {
	var found []Type
	all := Types()
	for _, p := range patterns {
		noun, isGroup := strings.CutSuffix(p, group)
		known := false
		for _, t := range all {
			if of, _, _ := strings.Cut(string(t), "."); isGroup && of == noun || string(t) == p {
				known = true
				found = append(found, t)
			}
		}
		if !known {
			return nil, ErrType
		}
	}
	return slices.DeleteFunc(all, func(t Type) bool { return !slices.Contains(found, t) }), nil
}
