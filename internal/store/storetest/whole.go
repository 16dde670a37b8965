package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

func wholeChecks() []check {
	return []check{
		{"a context that has ended changes nothing", wholeContext},
		{"a closed store answers nothing", wholeClosed},
		{"values are copied in and out", wholeCopies},
		{"values at their limits fit", wholeLimits},
		{"text is text, whatever it looks like", wholeText},
	}
}

// verbs is each verb of a store, called with what would otherwise succeed.
func (w *world) verbs(t *testing.T) map[string]func(context.Context) error {
	u := w.newUser(t)
	row := w.signIn(t, u.ID)
	mk, hook := w.newManagementKey(t), w.newHook(t)
	p, e := w.project.ID, w.event(w.project.ID, audit.SettingsChanged)
	all := map[string]func(context.Context) error{
		"Ping":             w.Ping,
		"Projects.Find":    func(ctx context.Context) error { _, err := w.Projects().Find(ctx, p); return err },
		"Projects.Version": func(ctx context.Context) error { _, err := w.Projects().Version(ctx, p); return err },
		"Projects.Domains": func(ctx context.Context) error { _, err := w.Projects().Domains(ctx, "", 9); return err },
		"Projects.List":    func(ctx context.Context) error { _, err := w.Projects().List(ctx, id.Project{}, 9); return err },
		"Users.Find":       func(ctx context.Context) error { _, err := w.Users().Find(ctx, p, u.ID); return err },
		"Users.FindByLogin": func(ctx context.Context) error {
			_, err := w.Users().FindByLogin(ctx, p, u.LoginIDs[0])
			return err
		},
		"Users.List": func(ctx context.Context) error { _, err := w.Users().List(ctx, p, id.User{}, 9); return err },
		"ManagementKeys.FindByDigest": func(ctx context.Context) error {
			_, err := w.ManagementKeys().FindByDigest(ctx, mk.Digest)
			return err
		},
		"ManagementKeys.List": func(ctx context.Context) error {
			_, err := w.ManagementKeys().List(ctx, p, id.ManagementKey{}, 9)
			return err
		},
		"Keys.List":     func(ctx context.Context) error { _, err := w.Keys().List(ctx, p); return err },
		"Sessions.Find": func(ctx context.Context) error { _, _, err := w.Sessions().Find(ctx, p, row.ID); return err },
		"Bulk.List": func(ctx context.Context) error {
			_, _, _, err := w.Bulk().List(ctx, session.Filter{Project: p, Limit: 9})
			return err
		},
		"Bulk.Count":        func(ctx context.Context) error { _, err := w.Bulk().Count(ctx, session.Filter{Project: p}); return err },
		"Revocations.After": func(ctx context.Context) error { _, err := w.Revocations().After(ctx, 0, 9); return err },
		"Revocations.Of":    func(ctx context.Context) error { _, err := w.Revocations().Of(ctx, p, 0, 9); return err },
		"Revocations.Last":  func(ctx context.Context) error { _, err := w.Revocations().Last(ctx); return err },
		"Revocations.Sweep": func(ctx context.Context) error {
			_, err := w.Revocations().Sweep(ctx, w.clock.Now(), 9)
			return err
		},
		"Events.List": func(ctx context.Context) error {
			_, err := w.Events().List(ctx, audit.Query{Project: p, Limit: 9})
			return err
		},
		"Events.Walk": func(ctx context.Context) error {
			_, _, err := w.Events().Walk(ctx, audit.Query{Project: p, Limit: 9})
			return err
		},
		"Events.After": func(ctx context.Context) error { _, _, err := w.Events().After(ctx, p, 0, 9); return err },
		"Webhooks.Find": func(ctx context.Context) error {
			_, err := w.Webhooks().Find(ctx, p, hook.ID)
			return err
		},
		"Webhooks.List": func(ctx context.Context) error {
			_, err := w.Webhooks().List(ctx, p, id.Webhook{}, 9)
			return err
		},
		"Webhooks.Deliveries": func(ctx context.Context) error {
			_, err := w.Webhooks().Deliveries(ctx, webhook.DeliveryQuery{Project: p, Hook: hook.ID, Limit: 9})
			return err
		},
		"Outbox.Active": func(ctx context.Context) error { _, err := w.Outbox().Active(ctx, id.Webhook{}, 9); return err },
		"Outbox.Due":    func(ctx context.Context) error { _, err := w.Outbox().Due(ctx, hook, 9); return err },
		"Events.At":     func(ctx context.Context) error { _, err := w.Events().At(ctx, 1); return err },
		"Events.Last":   func(ctx context.Context) error { _, err := w.Events().Last(ctx); return err },
	}
	w.directoryChanges(t, all, u, mk, e)
	w.grantVerbs(t, all)
	w.webhookChanges(all, hook, e)
	w.sessionChanges(all, row, w.newest(t, row), e)
	return all
}

func (w *world) directoryChanges(t testing.TB, all map[string]func(context.Context) error, u directory.User, mk directory.ManagementKey, e audit.Event) {
	p := w.project.ID
	all["Projects.Insert"] = func(ctx context.Context) error {
		return w.Projects().Insert(ctx, directory.Project{ID: id.NewProject(w.clock.Now()), Name: "lost"}, e)
	}
	all["Lives.Change"] = func(ctx context.Context) error {
		_, err := w.Lives().Change(ctx, p, func(p directory.Project) (directory.Project, []audit.Event, error) {
			p.Name = "lost"
			return p, []audit.Event{e}, nil
		})
		return err
	}
	all["Lives.Erase"] = func(ctx context.Context) error { _, err := w.Lives().Erase(ctx, 9); return err }
	all["Projects.ChangeSettings"] = func(ctx context.Context) error { return w.Projects().ChangeSettings(ctx, p, 1, strange(t), e) }
	all["Projects.Reseal"] = func(ctx context.Context) error {
		return w.Projects().Reseal(ctx, p, w.project.SealedMAC, []byte("lost"), e)
	}
	all["Keys.Reseal"] = func(ctx context.Context) error { return w.Keys().Reseal(ctx, p, nil, e) }
	all["Users.Insert"] = func(ctx context.Context) error { return w.Users().Insert(ctx, w.user(), e) }
	all["Users.Change"] = func(ctx context.Context) error {
		_, err := w.Users().Change(ctx, p, u.ID, func(u directory.User) (directory.User, []audit.Event, error) {
			u.Name = "lost"
			return u, []audit.Event{e}, nil
		})
		return err
	}
	all["Users.Delete"] = func(ctx context.Context) error { return w.Users().Delete(ctx, p, u.ID, e) }
	all["ManagementKeys.Insert"] = func(ctx context.Context) error { return w.ManagementKeys().Insert(ctx, w.managementKey(), e) }
	all["ManagementKeys.Rotate"] = func(ctx context.Context) error {
		_, err := w.ManagementKeys().Rotate(ctx, p, mk.ID, secret.Digest{1}, e)
		return err
	}
	all["ManagementKeys.Delete"] = func(ctx context.Context) error { return w.ManagementKeys().Delete(ctx, p, mk.ID, e) }
	all["Keys.Apply"] = func(ctx context.Context) error {
		return w.Keys().Apply(ctx, p, 1, key.Change{Insert: []key.Key{w.key()}, Events: []audit.Event{e}})
	}
	all["Events.Sweep"] = func(ctx context.Context) error {
		_, err := w.Events().Sweep(ctx, w.clock.Now().Add(time.Hour), 99)
		return err
	}
}

func (w *world) webhookChanges(all map[string]func(context.Context) error, h webhook.Hook, e audit.Event) {
	all["Webhooks.Insert"] = func(ctx context.Context) error { _, err := w.Webhooks().Insert(ctx, w.hook(), 9, e); return err }
	all["Webhooks.Change"] = func(ctx context.Context) error {
		_, err := w.Webhooks().Change(ctx, h.Project, h.ID, func(h webhook.Hook) (webhook.Hook, []audit.Event, error) {
			h.URL = "https://lost.example.com"
			return h, []audit.Event{e}, nil
		})
		return err
	}
	all["Webhooks.Delete"] = func(ctx context.Context) error { return w.Webhooks().Delete(ctx, h.Project, h.ID, e) }
	all["Webhooks.Retry"] = func(ctx context.Context) error {
		_, err := w.Webhooks().Retry(ctx, h.Project, h.ID, e.ID)
		return err
	}
	all["Outbox.Lease"] = func(ctx context.Context) error { _, err := w.Outbox().Lease(ctx, "lost", time.Hour); return err }
	all["Outbox.Record"] = func(ctx context.Context) error { _, err := w.Outbox().Record(ctx, h, 1<<40, nil); return err }
	all["Outbox.Sweep"] = func(ctx context.Context) error { _, err := w.Outbox().Sweep(ctx, w.clock.Now(), 9); return err }
}

func (w *world) sessionChanges(all map[string]func(context.Context) error, row session.Row, f session.Refresh, e audit.Event) {
	p := w.project.ID
	all["Sessions.Insert"] = func(ctx context.Context) error {
		_, err := w.Sessions().Insert(ctx, w.row(row.User), 1, session.Admission{EndOthers: true}, e)
		return err
	}
	all["Sessions.Rotate"] = func(ctx context.Context) error { _, _, err := w.Sessions().Rotate(ctx, f); return err }
	all["Sessions.Confirm"] = func(ctx context.Context) error {
		_, err := w.Sessions().Confirm(ctx, p, row.ID, row.Newest, 0)
		return err
	}
	all["Sessions.SetClaims"] = func(ctx context.Context) error {
		_, err := w.Sessions().SetClaims(ctx, p, row.ID, 0, nil, nil, e)
		return err
	}
	all["Sessions.End"] = func(ctx context.Context) error { _, err := w.Sessions().End(ctx, p, row.ID, w.ending()); return err }
	all["Bulk.EndAll"] = func(ctx context.Context) error {
		_, err := w.Bulk().EndAll(ctx, p, row.User, id.Session{}, w.ending())
		return err
	}
	all["Bulk.EndMatching"] = func(ctx context.Context) error {
		_, _, err := w.Bulk().EndMatching(ctx, session.Filter{Project: p, Limit: 9}, w.ending())
		return err
	}
	all["Bulk.Sweep"] = func(ctx context.Context) error {
		_, err := w.Bulk().Sweep(ctx, w.clock.Now().Add(1000*time.Hour), 9)
		return err
	}
}

// picture is everything that a project has, to be compared.
func (w *world) picture(t *testing.T) []any {
	t.Helper()
	projects, err := w.Projects().List(w.ctx, id.Project{}, 99)
	ok(t, err)
	users, err := w.Users().List(w.ctx, w.project.ID, id.User{}, 99)
	ok(t, err)
	grants := w.grantsPicture(t, users)
	managementKeys, err := w.ManagementKeys().List(w.ctx, w.project.ID, id.ManagementKey{}, 99)
	ok(t, err)
	keys, err := w.Keys().List(w.ctx, w.project.ID)
	ok(t, err)
	rows, subjects, _, err := w.Bulk().List(w.ctx, session.Filter{Project: w.project.ID, Limit: 99})
	ok(t, err)
	events, err := w.Events().List(w.ctx, audit.Query{Project: w.project.ID, Limit: 99})
	ok(t, err)
	entries, err := w.Revocations().Of(w.ctx, w.project.ID, 0, 99)
	ok(t, err)
	return []any{projects, users, grants, managementKeys, keys, rows, subjects, events, entries}
}

func (w *world) unchanged(t *testing.T, name string, before []any) {
	t.Helper()
	for i, after := range w.picture(t) {
		same(t, name, before[i], after)
	}
}

func wholeContext(t *testing.T, w *world) {
	verbs := w.verbs(t)
	before := w.picture(t)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	for name, verb := range verbs {
		if err := verb(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", name, err)
		}
	}
	w.unchanged(t, "after verbs with an ended context, the store", before)
	// Each of them works, so the test above means something.
	for _, name := range []string{"Users.Change", "Tenants.Change", "Roles.Change", "Permissions.Describe", "Batches.Apply", "Sessions.Confirm", "Bulk.EndMatching", "Keys.Apply", "Projects.Reseal", "Keys.Reseal"} {
		ok(t, verbs[name](w.ctx))
	}
}

func wholeClosed(t *testing.T, w *world) {
	verbs := w.verbs(t)
	ok(t, w.Ping(w.ctx))
	ok(t, w.Close())
	for name, verb := range verbs {
		if err := verb(w.ctx); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ok(t, w.Close())
}

func wholeLimits(t *testing.T, w *world) {
	u := w.user()
	u.LoginIDs = nil
	for i := range 10 {
		u.LoginIDs = append(u.LoginIDs, strings.Repeat("ü", 253)+string(rune('a'+i)))
	}
	u.Name, u.Email = strings.Repeat("𝄞", 200), strings.Repeat("e", 254)
	ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
	got, err := w.Users().FindByLogin(w.ctx, u.Project, u.LoginIDs[9])
	ok(t, err)
	same(t, "the user", u, got)

	row := w.row(u.ID)
	row.Claims = json.RawMessage(`{"big":"` + strings.Repeat("x", 64<<10) + `"}`)
	row.NSec = row.Claims
	row.Device = session.Device{Name: strings.Repeat("n", 100), IP: strings.Repeat("f", 45), UserAgent: strings.Repeat("u", 256)}
	row.Audience = []string{strings.Repeat("a", 800), "", "b,c"}
	row.Context.Agent = strings.Repeat("agent ", 50)
	row.UserEpoch, row.ClaimsEpoch, row.LimitCount, row.Recoveries, row.ForeignReplays = 0, 1<<53, 1<<31, 1<<31, 1<<31
	row.AbsoluteAt = time.UnixMilli(1 << 47).UTC() // the year 6429
	for range 2 * session.TraceLimit {
		row.Trace = row.Trace.Add(session.Entry{At: w.clock.Now(), Rule: session.Rotate, Token: id.NewRefresh(), Issued: id.NewRefresh(), Context: row.Context})
	}
	stored, err := w.insert(t, row, session.Admission{})
	ok(t, err)
	same(t, "the returned session", row, stored)
	stored, _ = w.find(t, row.ID)
	same(t, "the stored session", row, stored)

	k := w.key()
	k.Sealed = bytes.Repeat([]byte{0, 0xff}, 2<<10) // RSA-4096 and more
	ok(t, w.Keys().Apply(w.ctx, w.project.ID, 1, key.Change{Insert: []key.Key{k}}))
	w.keysAre(t, k)
	w.write(t, w.event(w.project.ID, audit.SettingsChanged).With("patch", strings.Repeat("p", 64<<10)))
}

func wholeText(t *testing.T, w *world) {
	texts := []string{"", "null", "0", "'", `"`, `\`, "a\x00b", "\x00", "?1", "%s", "{}", "[]", "  ", "\u2028", "ſK", "\ufeff"}
	for _, text := range texts {
		u := w.user()
		u.Name, u.LoginIDs = text, []string{"login " + text}
		ok(t, w.Users().Insert(w.ctx, u, w.event(u.Project, audit.UserCreated)))
		got, err := w.Users().FindByLogin(w.ctx, u.Project, "login "+text)
		ok(t, err)
		same(t, "the user", u, got)
	}
	u := w.newUser(t)
	for _, text := range append(texts, "\xff\xfe", "a\xc3") { // headers aren't always UTF-8
		row := w.row(u.ID)
		row.Device = session.Device{Name: text, UserAgent: text}
		row.Context.Agent = text
		row, err := w.insert(t, row, session.Admission{})
		ok(t, err)
		stored, _ := w.find(t, row.ID)
		same(t, "the device", row.Device, stored.Device)
		same(t, "the context", row.Context, stored.Context)
		w.clock.Move(window)
		w.news(t)
		w.decide(t, w.newest(t, row))
	}
}
