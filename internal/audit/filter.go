package audit

import (
	"net/netip"
	"regexp"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// actor is what events show of who acts.
var actor = regexp.MustCompile(`^(system|cli|user:usr_[0-9a-z]{26}|key:mk_[0-9a-z]{26})$`)

// ParseFilter reads a filter as clients give it, of no project yet. It tells all that is
// wrong, each by the name of its query parameter; without problems the query is whole. What
// was given isn't repeated: it may be anything, a misplaced token too.
func ParseFilter(in latchkey.EventFilter) (q Query, problems []fault.Field) {
	q = Query{Actor: Actor(in.Actor), RequestID: in.RequestID, From: in.From, To: in.To}
	refuse := func(parameter, code, detail string) {
		problems = append(problems, fault.Field{Pointer: parameter, Code: code, Detail: detail})
	}
	var err error
	if q.Types, err = Match(in.Types...); err != nil {
		refuse("type", "range", "Types of events are wanted, such as user.created, or kinds of them, such as user.*, separated by commas.")
	}
	if in.Session != "" {
		if q.Session, err = id.ParseSession(in.Session); err != nil {
			refuse("session", "format", "A session id (ses_…) is wanted.")
		}
	}
	if in.User != "" {
		if q.User, err = id.ParseUser(in.User); err != nil {
			refuse("user", "format", "A user id (usr_…) is wanted.")
		}
	}
	if in.Tenant != "" {
		if q.Tenant, err = id.ParseTenant(in.Tenant); err != nil {
			refuse("tenant", "format", "A tenant id (ten_…) is wanted.")
		}
	}
	if in.Actor != "" && !actor.MatchString(in.Actor) {
		refuse("actor", "format", "An actor is wanted, as events show it: system, cli, user:usr_… or key:mk_….")
	}
	if in.IP != "" {
		ip, err := netip.ParseAddr(in.IP)
		if err != nil || ip.Zone() != "" {
			refuse("ip", "format", "An address is wanted.")
		}
		q.IP = ip.Unmap().String()
	}
	return q, problems
}
