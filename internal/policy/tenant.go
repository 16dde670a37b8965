package policy

import (
	"fmt"
	"reflect"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/fault"
)

// PatchTenant is like Patch for what a tenant overrides: null takes an override away.
func PatchTenant(current latchkey.TenantSettings, patch []byte) (latchkey.TenantSettings, error) {
	var p problems
	next, none := current, latchkey.TenantSettings{}
	if p.readable(patch) {
		p.merge("", patch, reflect.ValueOf(&next).Elem(), reflect.ValueOf(&none).Elem())
	}
	if len(p) > 0 {
		_, refused := CheckTenant(next, Defaults())
		p.values(refused)
		return latchkey.TenantSettings{}, fault.New(fault.Invalid, "this change of settings can't be read").WithFields(p...)
	}
	return next, nil
}

// CheckTenant decides whether a tenant may override settings by t, and is otherwise like
// Check. What is laxer than the project's settings is allowed, since those may change, and
// warned of. Nothing that only the merge with other settings brings about is a
// contradiction: see Merge.
func CheckTenant(t latchkey.TenantSettings, project latchkey.Settings) ([]latchkey.Warning, error) {
	var p problems
	p.overrides(t)
	// What isn't overridden is zero here and contradicts nothing.
	p.lifetimeClashes(latchkey.Settings{
		SessionTokenTTL: value(t.SessionTokenTTL), AbsoluteTimeout: value(t.AbsoluteTimeout), IdleTimeout: value(t.IdleTimeout),
	})
	if len(p) > 0 {
		return nil, fault.New(p.kind(), "these settings are refused").WithFields(p...)
	}
	return tenantWarnings(t, project), nil
}

func value[T any](override *T) (v T) {
	if override != nil {
		v = *override
	}
	return v
}

func (p *problems) overrides(t latchkey.TenantSettings) {
	ttl, absolute, idle, stepUp := spans()
	for _, d := range []struct {
		pointer string
		value   *latchkey.Duration
		span    span
	}{
		{"/sessionTokenTTL", t.SessionTokenTTL, ttl},
		{"/absoluteTimeout", t.AbsoluteTimeout, absolute},
		{"/idleTimeout", t.IdleTimeout, idle},
		{"/stepUpTTL", t.StepUpTTL, stepUp},
	} {
		if d.value != nil {
			p.within(d.pointer, *d.value, d.span)
		}
	}
	if t.MaxSessions != nil {
		p.sessionLimit(*t.MaxSessions)
	}
	if t.OnLimit != nil {
		p.oneOf("/onLimit", *t.OnLimit, "endOldest", "deny")
	}
}

// tenantWarnings says which overrides do nothing, and what they do besides.
func tenantWarnings(t latchkey.TenantSettings, project latchkey.Settings) []latchkey.Warning {
	w := []latchkey.Warning{}
	warn := func(pointer, format string, args ...any) {
		w = append(w, latchkey.Warning{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	laxer := func(pointer string, isLaxer bool, has any) {
		if isLaxer {
			warn(pointer, "this has no effect: the project's own value (%v) is stricter", has)
		}
	}
	p := Of(project)
	laxer("/sessionTokenTTL", value(t.SessionTokenTTL) > project.SessionTokenTTL, project.SessionTokenTTL)
	laxer("/absoluteTimeout", value(t.AbsoluteTimeout) > project.AbsoluteTimeout, project.AbsoluteTimeout)
	laxer("/idleTimeout", t.IdleTimeout != nil && lower(p.IdleTimeout, t.IdleTimeout.Std()) != t.IdleTimeout.Std(), project.IdleTimeout)
	laxer("/stepUpTTL", value(t.StepUpTTL) > project.StepUpTTL, project.StepUpTTL)
	laxer("/maxSessionsPerUser", t.MaxSessions != nil && lower(p.MaxSessions, *t.MaxSessions) != *t.MaxSessions, project.MaxSessions)
	laxer("/onLimit", value(t.OnLimit) == "endOldest" && p.DenyOverLimit, project.OnLimit)
	merged := Merge(p, t)
	if value(t.OnLimit) == "deny" && merged.MaxSessions == 0 {
		warn("/onLimit", "this has no effect: neither the project nor the tenant has a maxSessionsPerUser")
	}
	wanted := min(p.SessionTokenTTL, p.tighten(t).SessionTokenTTL)
	if merged.SessionTokenTTL < wanted {
		at := "/absoluteTimeout"
		if merged.SessionTokenTTL == merged.IdleTimeout {
			at = "/idleTimeout"
		}
		warn(at, "session tokens live %v only, since they may not outlive the session", latchkey.Duration(merged.SessionTokenTTL))
	}
	return w
}

// Effective returns what is in force for a user whose only tenant has these settings.
// No member is nil.
func Effective(project latchkey.Settings, t latchkey.TenantSettings) latchkey.TenantSettings {
	p := Merge(Of(project), t)
	onLimit := "endOldest"
	if p.DenyOverLimit {
		onLimit = "deny"
	}
	return latchkey.TenantSettings{
		SessionTokenTTL: new(latchkey.Duration(p.SessionTokenTTL)), AbsoluteTimeout: new(latchkey.Duration(p.AbsoluteTimeout)),
		IdleTimeout: new(latchkey.Duration(p.IdleTimeout)), StepUpTTL: new(latchkey.Duration(p.StepUpTTL)),
		MaxSessions: new(p.MaxSessions), OnLimit: &onLimit,
	}
}
