package latchkey

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// shares is into how many shares sessions are divided.
const shares = 100

const (
	rolePrefix  = "role_"
	sharePrefix = "share_"
)

// RoleMark returns the name under which the revocation feed speaks of a role: "role_" and
// the FNV-1a hash, 64 bits, of its name in 16 hexadecimal digits. Tokens name roles by
// names, which may hold characters that an identifier can't. Two roles with the same mark
// cost a refresh too many, never one too few.
func RoleMark(name string) string {
	return roleMarkOf(roleHash(roleSeed, name))
}

// TenantRoleMark returns the name under which the revocation feed speaks of a role that
// belongs to one tenant: the RoleMark of the tenant's id, a slash and the role's name. So
// what one customer does to a role of its own costs the others nothing, though theirs may
// have the same name.
func TenantRoleMark(tenant, name string) string {
	return roleMarkOf(roleHash(tenantSeed(tenant), name))
}

func tenantSeed(tenant string) uint64 { return roleHash(roleHash(roleSeed, tenant), "/") }

func roleMarkOf(h uint64) string {
	digits := strconv.FormatUint(h, 16)
	return rolePrefix + strings.Repeat("0", 16-len(digits)) + digits
}

// roleSeed is the hash of no text.
const roleSeed = uint64(14695981039346656037)

// roleHash is FNV-1a, going on from the hash of what stands before. It is written out
// because hash/fnv wants bytes, which would cost a copy of each name that a token has.
func roleHash(h uint64, name string) uint64 {
	for i := range len(name) {
		h ^= uint64(name[i])
		h *= 1099511628211
	}
	return h
}

// Share returns which of the 100 shares of all sessions one is in, 0 to 99: the FNV-1a
// hash, 32 bits, of its id modulo 100. A session stays in its share for life, so that what
// is rolled out to more and more shares is never taken back from a session on the way.
func Share(sid string) int {
	h := fnv.New32a()
	h.Write([]byte(sid)) // to a hash, writing can't fail
	return int(h.Sum32() % shares)
}

// ShareMark returns the name under which the revocation feed speaks of the sessions whose
// Share is at least from and below to: "share_<from>_<to>". It holds for 0 <= from < to <=
// 100; a mark with other numbers concerns no session.
func ShareMark(from, to int) string {
	return sharePrefix + strconv.Itoa(from) + "_" + strconv.Itoa(to)
}

// parseRoleMark reads exactly what RoleMark makes.
func parseRoleMark(id string) (uint64, bool) {
	digits, ok := strings.CutPrefix(id, rolePrefix)
	if !ok || len(digits) != 16 || digits != strings.ToLower(digits) {
		return 0, false
	}
	h, err := strconv.ParseUint(digits, 16, 64)
	return h, err == nil
}

// parseShareMark reads exactly what ShareMark makes.
func parseShareMark(id string) (from, to int, ok bool) {
	text, _ := strings.CutPrefix(id, sharePrefix)
	first, second, _ := strings.Cut(text, "_")
	from, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0, false
	}
	to, err = strconv.Atoi(second)
	if err != nil || from < 0 || from >= to || to > shares {
		return 0, 0, false
	}
	return from, to, id == ShareMark(from, to)
}

// outdatesRoles reports whether the token names, anywhere, a role that has changed. The
// caller holds mu.
func (x *revokedIndex) outdatesRoles(c *Claims, session ident) bool {
	if len(x.roles) == 0 {
		return false
	}
	if x.changedRole(roleSeed, c.Roles, c.Epoch, session) {
		return true
	}
	for id, g := range c.Tenants {
		// A role in a tenant is the project's or the tenant's own: the token doesn't say.
		if x.changedRole(roleSeed, g.Roles, c.Epoch, session) || x.changedRole(tenantSeed(id), g.Roles, c.Epoch, session) {
			return true
		}
	}
	return false
}

func (x *revokedIndex) changedRole(seed uint64, names []string, epoch int64, session ident) bool {
	for _, name := range names {
		if k, ok := x.roles[roleHash(seed, name)]; ok && k.concern(epoch, session) {
			return true
		}
	}
	return false
}

// outdatesShare reports whether the token's session is in a share that has changed. A
// token without session, that of an access key, is in none. The caller holds mu.
func (x *revokedIndex) outdatesShare(c *Claims, session ident) bool {
	if x.portions == nil || c.SessionID == "" {
		return false
	}
	return x.portions[Share(c.SessionID)].concern(c.Epoch, session)
}

// putRole takes in that a role has changed. When there is no room, all tokens from before
// are outdated. Each has room unless thousands of tenants change their own ones at once.
func (x *revokedIndex) putRole(id string, m mark, until int64) outcome {
	key, ok := parseRoleMark(id)
	if !ok {
		return entryMalformed
	}
	known, ok := x.roles[key]
	if !ok && len(x.roles) >= maxRevokedRoles {
		return x.putProject(&x.changed, x.project, m, until)
	}
	next, grown := known.with(m, until)
	x.edit(grown, func() { x.roles[key] = next })
	if grown {
		return entryAdded
	}
	return entryKnown
}

// putShare takes in that sessions of some shares have changed. Each share has marks of its
// own: with ranges, any number of them could concern one session.
func (x *revokedIndex) putShare(id string, m mark, until int64) outcome {
	from, to, ok := parseShareMark(id)
	if !ok {
		return entryMalformed
	}
	next := new([shares]marks)
	if x.portions != nil {
		*next = *x.portions
	}
	grown := false
	for i := from; i < to; i++ {
		var more bool
		next[i], more = next[i].with(m, until)
		grown = grown || more
	}
	x.edit(grown, func() { x.portions = next })
	if grown {
		return entryAdded
	}
	return entryKnown
}

// sweepShares drops what is over; the caller holds change.
func (x *revokedIndex) sweepShares(now int64) {
	if x.portions == nil {
		return
	}
	next, left := *x.portions, false
	for i := range next {
		if next[i].until <= now {
			next[i] = marks{}
		}
		left = left || next[i].until != 0
	}
	x.edit(false, func() {
		x.portions = nil
		if left {
			x.portions = &next
		}
	})
}

// changedShares returns how many shares there are entries of.
func (x *revokedIndex) changedShares() int {
	n := 0
	if x.portions != nil {
		for i := range x.portions {
			if x.portions[i].until != 0 {
				n++
			}
		}
	}
	return n
}

func (x *revokedIndex) saveRoles() []savedMark {
	var out []savedMark
	for h, k := range x.roles {
		out = k.save(out, roleMarkOf(h))
	}
	return out
}

func (x *revokedIndex) saveShares() []savedMark {
	var out []savedMark
	if x.portions != nil {
		for i := range x.portions {
			out = x.portions[i].save(out, ShareMark(i, i+1))
		}
	}
	return out
}
