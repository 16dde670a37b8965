package latchkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// maxFeedState bounds the saved state of a feed: a million entries, each with two marks,
// fit.
const maxFeedState = 256 << 20

const feedStateVersion = 2

// feedStateWithoutRoles is of an SDK that didn't know the kinds role and share.
const feedStateWithoutRoles = 1

// feedState is what export writes. Times are Unix milliseconds.
type feedState struct {
	Version  int              `json:"version"`
	Issuer   string           `json:"issuer"`
	Cursor   string           `json:"cursor,omitempty"`
	Server   int64            `json:"server,omitempty"` // feedClock.reached
	At       int64            `json:"at,omitempty"`     // feedClock.at
	Sessions map[string]int64 `json:"sessions,omitempty"`
	Keys     map[string]int64 `json:"keys,omitempty"`
	Users    []savedMark      `json:"users,omitempty"`
	Tenants  []savedMark      `json:"tenants,omitempty"`
	Projects []savedMark      `json:"projects,omitempty"`
	Epochs   []savedMark      `json:"epochs,omitempty"`
	Roles    []savedMark      `json:"roles,omitempty"`
	Shares   []savedMark      `json:"shares,omitempty"`
	Crowd    []savedMark      `json:"crowd,omitempty"`
}

type savedMark struct {
	ID     string `json:"id"`
	At     int64  `json:"at"`
	Until  int64  `json:"until"`
	Except string `json:"except,omitempty"`
}

// export returns what is known, for restore. It may be called at any time: the cursor in
// it is never ahead of the entries.
func (r *Revocations) export() []byte {
	s := feedState{Version: feedStateVersion, Issuer: r.issuer}
	// The cursor first: an entry that comes meanwhile is then sent again, which is
	// harmless, while one behind the cursor that isn't there would be lost.
	r.mu.Lock()
	s.Cursor, s.Server = r.cursor, r.clock.reached
	if !r.clock.at.IsZero() {
		s.At = r.clock.at.UnixMilli()
	}
	r.mu.Unlock()
	r.index.save(&s)
	out, err := json.Marshal(s)
	if err != nil {
		return nil // can't happen: numbers and strings only
	}
	return out
}

func (x *revokedIndex) save(s *feedState) {
	x.change.Lock() // judging goes on: it needs the other lock only
	defer x.change.Unlock()
	s.Sessions, s.Keys = saveUntils(x.sessions), saveUntils(x.keys)
	s.Users, s.Tenants = saveMarks(nil, x.users), saveMarks(nil, x.tenants)
	s.Projects = x.whole.save(nil, x.project)
	s.Epochs = x.changed.save(saveMarks(saveMarks(nil, x.epochs), x.tenures), x.project)
	s.Roles, s.Shares = x.saveRoles(), x.saveShares()
	s.Crowd = x.crowd.save(nil, x.project)
}

func saveUntils(m map[ident]int64) map[string]int64 {
	out := make(map[string]int64, len(m))
	for id, until := range m {
		out[id.text()] = until
	}
	return out
}

func saveMarks(out []savedMark, m map[ident]marks) []savedMark {
	for id, k := range m {
		out = k.save(out, id.text())
	}
	return out
}

func (k *marks) save(out []savedMark, id string) []savedMark {
	for _, m := range []mark{k.latest, k.other} {
		if m.at == 0 {
			continue
		}
		saved := savedMark{ID: id, At: m.at, Until: k.until}
		if m.except != nil {
			saved.Except = m.except.text()
		}
		out = append(out, saved)
	}
	return out
}

// restore adds what export returned, in this process or in an earlier one, to what is
// known, and goes on at its cursor unless there is one already. Call it before Run. What
// was over when the server was last heard, by its clock and by ours, is left out; our
// clock of now, which may be wrong after a start, decides nothing. A state that is
// damaged or of another issuer is an error, and nothing of it is used: behind its cursor,
// entries could be missing.
func (r *Revocations) restore(state []byte) error {
	s, err := parseFeedState(state, r.issuer)
	if err != nil {
		return fmt.Errorf("latchkey: revocations: saved state: %w", err)
	}
	r.index.load(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cursor == "" {
		r.cursor = s.Cursor
	}
	if r.clock.reached == 0 && s.At > 0 {
		r.clock.reached, r.clock.at = s.Server, time.UnixMilli(s.At)
	}
	return nil
}

func parseFeedState(state []byte, issuer string) (*feedState, error) {
	if len(state) > maxFeedState {
		return nil, errors.New("too large")
	}
	s := new(feedState)
	if json.Unmarshal(state, s) != nil {
		return nil, errors.New("not readable")
	}
	if s.Version == feedStateWithoutRoles {
		// Behind its cursor there may be entries that had no effect then and have one now,
		// so the feed begins anew. What the state says still holds.
		s.Version, s.Cursor = feedStateVersion, ""
	}
	switch {
	case s.Version != feedStateVersion:
		return nil, fmt.Errorf("version %d isn't known", s.Version)
	case s.Issuer != issuer:
		return nil, errors.New("of another issuer")
	case len(s.Cursor) > maxStreamID || s.Server < 0 || s.At < 0:
		return nil, errors.New("damaged")
	}
	for _, m := range []map[string]int64{s.Sessions, s.Keys} {
		for id, until := range m {
			if !isID(id) || until <= 0 {
				return nil, errors.New("damaged")
			}
		}
	}
	for _, list := range [][]savedMark{s.Users, s.Tenants, s.Projects, s.Epochs, s.Roles, s.Shares, s.Crowd} {
		for _, m := range list {
			if !isID(m.ID) || m.At <= 0 || m.Until < m.At || m.Except != "" && !isID(m.Except) {
				return nil, errors.New("damaged")
			}
		}
	}
	for _, m := range s.Roles {
		if _, ok := parseRoleMark(m.ID); !ok {
			return nil, errors.New("damaged")
		}
	}
	for _, m := range s.Shares {
		if _, _, ok := parseShareMark(m.ID); !ok {
			return nil, errors.New("damaged")
		}
	}
	return s, nil
}

func (x *revokedIndex) load(s *feedState) {
	over := min(s.Server, s.At)
	x.change.Lock()
	defer x.change.Unlock()
	for kind, m := range map[string]map[string]int64{kindSession: s.Sessions, kindKey: s.Keys} {
		for id, until := range m {
			if until > over {
				// Without the time of the entry: should there be no room for it, all tokens
				// from before its end are outdated.
				x.put(kind, id, mark{at: until}, until)
			}
		}
	}
	for kind, list := range map[string][]savedMark{
		kindUser: s.Users, kindTenant: s.Tenants, kindProject: s.Projects, kindEpoch: s.Epochs,
		kindRole: s.Roles, kindShare: s.Shares,
	} {
		for _, m := range list {
			if m.Until > over {
				x.put(kind, m.ID, m.mark(), m.Until)
			}
		}
	}
	for _, m := range s.Crowd {
		if m.Until > over {
			x.putCrowd(m.mark(), m.Until)
		}
	}
}

func (m savedMark) mark() mark {
	out := mark{at: m.At}
	if m.Except != "" {
		except := identOf(m.Except)
		out.except = &except
	}
	return out
}
