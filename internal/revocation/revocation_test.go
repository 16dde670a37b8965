package revocation_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/revocation"
)

// A token may be accepted until its own TTL and the leeway are over, whatever the TTL
// has become since it was minted.
func TestUntilCoversTokensOfEarlierTTLs(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	life := revocation.Life{TTL: 10 * time.Minute}
	until := func(at time.Time) time.Time {
		return life.Entry(id.NewProject(at), revocation.Epoch, "usr_1", at).Until
	}
	if got, want := until(start), start.Add(20*time.Minute); !got.Equal(want) {
		t.Errorf("a life that never changed: until %v, want %v", got, want)
	}
	life = life.Shortened(revocation.Life{TTL: 24 * time.Hour}, start) // in fact longer: nothing to remember
	if !life.Before.IsZero() || life.TTL != 24*time.Hour {
		t.Errorf("a longer TTL: %+v", life)
	}
	at := start.Add(time.Hour)
	life = life.Shortened(revocation.Life{TTL: time.Minute}, at)
	if got, want := until(at.Add(time.Hour)), at.Add(24*time.Hour+revocation.Leeway); !got.Equal(want) {
		t.Errorf("after a shorter TTL: until %v, want the end %v of the tokens from before", got, want)
	}
	// Shortened once more: the tokens of the first TTL are still the last ones.
	life = life.Shortened(revocation.Life{TTL: time.Minute / 2}, at.Add(2*time.Hour))
	if got, want := until(at.Add(2*time.Hour)), at.Add(24*time.Hour+revocation.Leeway); !got.Equal(want) {
		t.Errorf("after two shorter TTLs: until %v, want %v", got, want)
	}
	late := at.Add(48 * time.Hour)
	if got, want := until(late), late.Add(time.Minute/2+revocation.Leeway); !got.Equal(want) {
		t.Errorf("once they are gone: until %v, want %v", got, want)
	}
}

// Tokens of access keys may live for weeks. What concerns them is remembered as long, what
// concerns sessions alone isn't.
func TestUntilCoversTokensOfAccessKeys(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	life := revocation.Life{TTL: 10 * time.Minute, KeyTTL: 24 * time.Hour}
	until := func(kind revocation.Kind, about string) time.Duration {
		return life.Entry(id.NewProject(at), kind, about, at).Until.Sub(at) - revocation.Leeway
	}
	for _, c := range []struct {
		kind  revocation.Kind
		about string
		want  time.Duration
	}{
		{revocation.Session, "ses_1", life.TTL}, {revocation.User, "usr_1", life.TTL}, {revocation.Epoch, "ses_1", life.TTL},
		{revocation.Epoch, "usr_1", life.TTL}, {revocation.Share, "share_0_5", life.TTL},
		{revocation.User, "ak_1", life.KeyTTL}, {revocation.Epoch, "ak_1", life.KeyTTL}, {revocation.Epoch, "ten_1", life.KeyTTL},
		{revocation.Epoch, "prj_1", life.KeyTTL}, {revocation.Role, "role_1", life.KeyTTL}, {revocation.Tenant, "ten_1", life.KeyTTL},
		{revocation.Project, "prj_1", life.KeyTTL}, {revocation.Key, "key_1", life.KeyTTL},
	} {
		if got := until(c.kind, c.about); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.kind, c.about, got, c.want)
		}
	}
	life = life.Shortened(revocation.Life{TTL: 10 * time.Minute, KeyTTL: time.Hour}, at)
	if got := until(revocation.Role, "role_1"); got != 24*time.Hour {
		t.Errorf("once the life of the tokens is shorter: %v, want that of those from before", got)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, s := id.NewProject(at), id.NewSession(at)
	e := revocation.Life{TTL: 10 * time.Minute}.Entry(p, revocation.Session, s.String(), at)
	if want := (revocation.Entry{Project: p, Kind: revocation.Session, ID: s.String(), At: at, Until: at.Add(20 * time.Minute)}); e != want {
		t.Fatalf("%+v, want %+v", e, want)
	}
	if got := e.Sparing(s).Except; got != s {
		t.Errorf("spares %v, want %v", got, s)
	}
	for what, c := range map[string]struct {
		got  revocation.Entry
		want time.Duration
	}{
		"not after an early end":  {e.NotAfter(at.Add(time.Minute)), 11 * time.Minute},
		"not after a late end":    {e.NotAfter(at.Add(time.Hour)), 20 * time.Minute},
		"not before an early end": {e.NotBefore(at.Add(time.Minute)), 20 * time.Minute},
		"not before a late end":   {e.NotBefore(at.Add(time.Hour)), 70 * time.Minute},
		"not before none":         {e.NotBefore(time.Time{}), 20 * time.Minute},
	} {
		if want := at.Add(c.want); !c.got.Until.Equal(want) {
			t.Errorf("%s: until %v, want %v", what, c.got.Until, want)
		}
	}
	e.Seq, e.Tag = 7, 9
	if got := e.Cursor(); got != (revocation.Cursor{Seq: 7, Tag: 9}) {
		t.Errorf("the cursor %+v", got)
	}
}

func TestByName(t *testing.T) {
	for _, c := range []struct {
		kind revocation.Kind
		id   string
		want bool
	}{
		{revocation.Role, "role_0123456789abcdef", true}, {revocation.Epoch, "ten_1", true}, {revocation.Tenant, "ten_1", false},
		{revocation.Epoch, "usr_1", false}, {revocation.Epoch, "prj_1", false}, {revocation.User, "usr_1", false}, {revocation.Share, "share_0_9", false},
	} {
		if got := (revocation.Entry{Kind: c.kind, ID: c.id}).ByName(); got != c.want {
			t.Errorf("%s %s: %v", c.kind, c.id, got)
		}
	}
}
