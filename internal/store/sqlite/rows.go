package sqlite

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/session"
	"github.com/latchkey-dev/latchkey/internal/store/sqlite/engine"
)

// stored is a session with what a decision about it needs to know of its project and
// its user, all read by one query.
type stored struct {
	n       int64
	project int64 // number of the project's row
	user    int64 // number of the user's row
	version int64 // of the project
	reapAt  int64
	row     session.Row
	subject session.Subject
}

// headColumns tell whether a session lives and whether a filter selects it; bodyColumns
// are all others.
const (
	headColumns = `s.n, s.project, s.user, p.version, s.reap_at, s.id, u.id, s.created_at, s.absolute_at, s.idle_at, s.ended_at, s.end_reason,
s.user_epoch, s.project_epoch, s.signing_key, s.ip, s.tenant, s.tenant_epoch, u.status, u.epoch, p.epoch, p.status <> 'enabled', u.grants IS NOT NULL, t.status,
t.epoch`

	bodyColumns = `s.parent, s.newest, s.rotated_at, s.replayed_at, s.confirmed, s.limit_from, s.limit_count, s.recoveries, s.foreign_replays,
s.network, s.agent, s.auth_time, s.amr, s.audience, s.claims, s.nsec, s.claims_epoch, s.device, s.user_agent, s.trace,
s.idle_limit, s.step_up, s.actor, s.acted_claims, s.acted_audience`

	// CROSS JOIN keeps the order: the session first, then its project and user by
	// row number. A deleted user has a row for as long as the session; a tenant may be
	// gone, and most sessions have none.
	fromSessions = " FROM sessions s CROSS JOIN projects p ON p.n = s.project CROSS JOIN users u ON u.n = s.user " + joinTenant

	joinTenant = "LEFT JOIN tenants t ON t.project = s.project AND t.id = s.tenant "

	sessionByID = "SELECT " + headColumns + ", " + bodyColumns +
		" FROM projects p CROSS JOIN sessions s ON s.project = p.n CROSS JOIN users u ON u.n = s.user " + joinTenant + "WHERE p.id = ? AND s.id = ?"
)

// readHead reads headColumns.
func readHead(q *engine.Stmt, p id.Project) stored {
	var s stored
	s.n, s.project, s.user, s.version, s.reapAt = q.ReadInt(), q.ReadInt(), q.ReadInt(), q.ReadInt(), q.ReadInt()
	r := &s.row
	r.Project = p
	q.ReadInto(r.ID[:])
	q.ReadInto(r.User[:])
	r.CreatedAt, r.AbsoluteAt, r.IdleAt, r.EndedAt = readTime(q), readTime(q), readTime(q), readTime(q)
	r.EndReason = session.Reason(q.ReadText())
	r.UserEpoch, r.ProjectEpoch = q.ReadInt(), q.ReadInt()
	q.ReadInto(r.SigningKey[:])
	r.Device.IP = q.ReadText()
	q.ReadInto(r.Tenant[:])
	r.TenantEpoch = q.ReadInt()
	s.subject = readSubject(q, r.Tenant)
	return s
}

func readSubject(q *engine.Stmt, t id.Tenant) session.Subject {
	status := directory.Status(q.ReadText())
	u := session.Subject{
		UserKnown: status != deleted, UserEnabled: status == directory.Enabled, UserEpoch: q.ReadInt(), ProjectEpoch: q.ReadInt(),
		ProjectDisabled: q.ReadInt() != 0, Granted: q.ReadInt() != 0,
	}
	if t.IsZero() {
		q.Skip()
		q.Skip()
		return u
	}
	u.TenantGone = q.IsNull()
	u.TenantDisabled = directory.Status(q.ReadText()) != directory.Enabled && !u.TenantGone
	u.TenantEpoch = q.ReadInt()
	return u
}

// readBody reads bodyColumns.
func (s *stored) readBody(q *engine.Stmt) {
	r := &s.row
	q.ReadInto(r.Parent[:])
	q.ReadInto(r.Newest[:])
	r.RotatedAt, r.ReplayedAt, r.Confirmed = readTime(q), readTime(q), q.ReadInt() != 0
	r.LimitFrom, r.LimitCount = readTime(q), int(q.ReadInt())
	r.Recoveries, r.ForeignReplays = int(q.ReadInt()), int(q.ReadInt())
	r.Context.Network, r.Context.Agent = readNetwork(q), q.ReadText()
	r.AuthTime = readTime(q)
	r.AMR, r.Audience = readStrings(q), readStrings(q)
	r.Claims, r.NSec = json.RawMessage(q.ReadBlob()), json.RawMessage(q.ReadBlob())
	r.ClaimsEpoch = q.ReadInt()
	r.Device.Name, r.Device.UserAgent = q.ReadText(), q.ReadText()
	q.ReadWith(r.Trace.UnmarshalBinary)
	r.IdleLimit = time.Duration(q.ReadInt()) * time.Millisecond
	readStepUp(q, &r.Profile)
	r.Actor = q.ReadText()
	r.Acted.Claims, r.Acted.Audience = readStrings(q), readStrings(q)
}

// findSession returns fault.NotFound when the project has no such session.
func findSession(c *engine.Conn, p id.Project, sid id.Session) (stored, error) {
	q := c.Query(sessionByID).Blob(p[:]).Blob(sid[:])
	if !q.Next() {
		return stored{}, missing(q, "This project has no such session.")
	}
	s := readHead(q, p)
	s.readBody(q)
	return s, q.Close()
}

// lives reports whether the session is active.
func (s *stored) lives(now time.Time) bool {
	status, _ := s.row.Status(s.subject, now)
	return status == session.Active
}

// save writes what a decision may have changed.
func (tx *transaction) save(s stored) error {
	q := tx.Query(`UPDATE sessions SET idle_at = ?, ended_at = ?, end_reason = ?, signing_key = ?, parent = ?, newest = ?,
rotated_at = ?, replayed_at = ?, confirmed = ?, limit_from = ?, limit_count = ?, recoveries = ?, foreign_replays = ?, network = ?, agent = ?, trace = ?
WHERE n = ?`)
	r := s.row
	putTime(putTime(q, r.IdleAt), r.EndedAt)
	putReason(q, r.EndReason)
	putState(putID(q, r.SigningKey), r.State)
	if err := putTrace(q, r.Trace).Int(s.n).Exec(); err != nil {
		return err
	}
	over := r.OverAt().UnixMilli()
	if over >= s.reapAt {
		return nil
	}
	return tx.Query("UPDATE sessions SET reap_at = ? WHERE n = ?").Int(over).Int(s.n).Exec()
}

// insert adds the session of user row n. It reports whether the id was free.
func (tx *transaction) insert(o owner, user int64, r session.Row) (bool, error) {
	q := tx.Query(`INSERT INTO sessions (project, id, user, reap_at, created_at, absolute_at, idle_at, ended_at, end_reason, user_epoch,
project_epoch, signing_key, parent, newest, rotated_at, replayed_at, confirmed, limit_from, limit_count, recoveries, foreign_replays, network,
agent, trace, ip, auth_time, amr, audience, claims, nsec, claims_epoch, device, user_agent, tenant, tenant_epoch, idle_limit, step_up,
actor, acted_claims, acted_audience)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`)
	q.Int(o.n).Blob(r.ID[:]).Int(user).Int(r.OverAt().UnixMilli())
	putTime(putTime(putTime(putTime(q, r.CreatedAt), r.AbsoluteAt), r.IdleAt), r.EndedAt)
	putReason(q, r.EndReason).Int(r.UserEpoch).Int(r.ProjectEpoch)
	putState(putID(q, r.SigningKey), r.State)
	putTrace(q, r.Trace).Text(r.Device.IP)
	putStrings(putStrings(putTime(q, r.AuthTime), r.AMR), r.Audience)
	putRaw(putRaw(q, r.Claims), r.NSec).Int(r.ClaimsEpoch).Text(r.Device.Name).Text(r.Device.UserAgent)
	putIdle(putID(q, r.Tenant).Int(r.TenantEpoch), r.IdleLimit)
	putActed(putText(putStepUp(q, r.Profile), r.Actor), r.Acted)
	err := q.Exec()
	return tx.Changed() == 1, err
}

// place writes what a change of tenant may have changed, and save doesn't write.
func (tx *transaction) place(s stored) error {
	q := tx.Query(`UPDATE sessions SET tenant = ?, tenant_epoch = ?, idle_limit = ?, absolute_at = ?, claims = ?, claims_epoch = ?, audience = ?,
acted_claims = ?, acted_audience = ? WHERE n = ?`)
	r := s.row
	putTime(putIdle(putID(q, r.Tenant).Int(r.TenantEpoch), r.IdleLimit), r.AbsoluteAt)
	putStrings(putRaw(q, r.Claims).Int(r.ClaimsEpoch), r.Audience)
	return putActed(q, r.Acted).Int(s.n).Exec()
}

func putIdle(q *engine.Stmt, limit time.Duration) *engine.Stmt {
	if limit == 0 {
		return q.Null()
	}
	return q.Int(limit.Milliseconds())
}

func putActed(q *engine.Stmt, a session.Acted) *engine.Stmt {
	return putStrings(putStrings(q, a.Claims), a.Audience)
}

func putReason(q *engine.Stmt, r session.Reason) *engine.Stmt {
	return putText(q, string(r))
}

// putText sets the next parameter to a text; "" is NULL.
func putText(q *engine.Stmt, s string) *engine.Stmt {
	if s == "" {
		return q.Null()
	}
	return q.Text(s)
}

// putState sets the parameters from parent to agent.
func putState(q *engine.Stmt, s session.State) *engine.Stmt {
	putTime(putTime(putRefresh(putRefresh(q, s.Parent), s.Newest), s.RotatedAt), s.ReplayedAt).Int(flag(s.Confirmed))
	putTime(q, s.LimitFrom).Int(int64(s.LimitCount)).Int(int64(s.Recoveries)).Int(int64(s.ForeignReplays))
	return putNetwork(q, s.Context.Network).Text(s.Context.Agent)
}

func putNetwork(q *engine.Stmt, network netip.Prefix) *engine.Stmt {
	if !network.IsValid() {
		return q.Null()
	}
	b, err := network.MarshalBinary()
	if err != nil {
		return q.Fail(err)
	}
	return q.Blob(b)
}

func readNetwork(q *engine.Stmt) netip.Prefix {
	var network netip.Prefix
	if q.IsNull() {
		q.Skip()
		return network
	}
	q.ReadWith(network.UnmarshalBinary)
	return network
}

func flag(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

func putTrace(q *engine.Stmt, t session.Trace) *engine.Stmt {
	b, err := t.AppendBinary(make([]byte, 0, 1024))
	if err != nil {
		return q.Fail(err)
	}
	return q.Blob(b)
}
