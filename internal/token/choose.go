package token

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
)

// Choose sorts out what a client holds that doesn't know which of its tokens is the good
// one: a browser with leftovers of other domains and paths, and with cookies that
// somebody else has planted. It returns the authentic tokens of a kind, at most one of
// each session. Sessions keep the order of held, which knows what somebody can have
// planted and when a token says it was made; opaque tokens say nothing, so of those the
// newest session comes first. Of the refresh tokens of one session it is the one that a
// refresh would trade: presenting another would look like a theft. The store is asked
// only about a session of which there are several.
func (s *Service) Choose(ctx context.Context, p id.Project, held []secret.Text, kind Kind) ([]secret.Text, error) {
	groups := map[id.Session][]candidate{}
	var order []id.Session
	opaque := true
	for _, text := range held {
		_, c, err := s.read(ctx, Presentation{Project: p, Token: text}, kind)
		switch fault.KindOf(err) {
		case fault.Unauthenticated, fault.SessionRevoked:
			continue // not one of ours, or of a key that was revoked
		}
		if err != nil {
			return nil, err
		}
		if groups[c.Session] == nil {
			order = append(order, c.Session)
		}
		groups[c.Session] = append(groups[c.Session], candidate{text, c})
		opaque = opaque && c.Claims == nil
	}
	if opaque {
		slices.SortFunc(order, func(a, b id.Session) int { return b.Compare(a) })
	}
	var best []secret.Text
	for _, sid := range order {
		one, err := s.newest(ctx, p, sid, groups[sid])
		if err != nil {
			return nil, err
		}
		best = append(best, one.text)
	}
	return best, nil
}

type candidate struct {
	text secret.Text
	Credential
}

// newest returns the best of several tokens of one session.
func (s *Service) newest(ctx context.Context, p id.Project, sid id.Session, group []candidate) (candidate, error) {
	if len(group) == 1 {
		return group[0], nil
	}
	var row session.Row
	if group[0].Kind == RefreshToken {
		var err error
		if row, _, err = s.d.Sessions.Find(ctx, p, sid); err != nil && fault.KindOf(err) != fault.NotFound {
			return candidate{}, err
		}
	}
	return slices.MinFunc(group, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank(row), b.rank(row)), b.ExpiresAt.Compare(a.ExpiresAt))
	}), nil
}

// rank is how far a refresh token is from what the row expects: the newest token, another
// child of the last confirmed one, that one itself, anything else.
func (c candidate) rank(row session.Row) int {
	switch {
	case c.Token == row.Newest:
		return 0
	case c.Parent == row.Parent && !c.Parent.IsZero():
		return 1
	case c.Token == row.Parent:
		return 2
	}
	return 3
}
