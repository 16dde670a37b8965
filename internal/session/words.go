package session

// rules holds the name of each rule on the wire and its sentence there.
var rules = [...]struct{ word, why string }{
	Create:  {"create", "The user signed in and the session was made."},
	Replay:  {"replay", "The same refresh was repeated inside the reuse window, so it got the same refresh token again."},
	Rotate:  {"rotate", "The newest refresh token was presented and replaced by its successor."},
	Recover: {"recover", "The previous refresh token came back and nothing shows that its successor ever arrived, so a new successor was made: probably an answer was lost."},
	Adopt:   {"adopt", "Of several successors made after lost answers, this one was used first; the others are dead now."},
	Theft:   {"theft", "The presented refresh token had been replaced for good. Two holders are proven and the session was ended."},
	Stale:   {"stale", "The request said it was composed too long ago, so it was not judged."},
	Revoked: {"revoked", "The session had been ended before."},
	RanOut:  {"expired", "The absolute or idle time of the session was over."},
	Limited: {"limited", "The session had been refreshed as often as its limit allows."},
	Read:    {"read", "Only a session token was handed out and the refresh token stayed as it was: because a trusted caller wanted no more, or because answers that carry the newest refresh token may still be on their way."},
	Confirm: {"confirm", "The newest refresh token is known to have reached its holder."},
	End:     {"end", "The session was ended on request."},
}

// Word returns the rule's name on the wire.
func (r Rule) Word() string {
	if int(r) >= len(rules) {
		return "unknown"
	}
	return rules[r].word
}

// Why returns the rule in a sentence.
func (r Rule) Why() string {
	if int(r) >= len(rules) {
		return ""
	}
	return rules[r].why
}

// String returns the rule's name, for logs.
func (r Rule) String() string { return r.Word() }

// Why returns what was decided in a sentence or two.
func (e Entry) Why() string {
	if e.Foreign {
		return e.Rule.Why() + " It came from another network or browser than the rotation."
	}
	return e.Rule.Why()
}
