package policy

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/id"
)

func TestRules(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	strict, short, plain, unknown := id.NewTenant(now), id.NewTenant(now), id.NewTenant(now), id.NewTenant(now)
	project := Of(Defaults())
	r := Rules{Project: project, Tenants: map[id.Tenant]latchkey.TenantSettings{strict: idle(time.Hour), short: absolute(day), plain: {}}}
	for name, c := range map[string]struct {
		of   []id.Tenant
		want Policy
	}{
		"no tenant":             {nil, project},
		"one without overrides": {[]id.Tenant{plain}, project},
		"one unknown":           {[]id.Tenant{unknown}, project},
		"one":                   {[]id.Tenant{unknown, strict}, Merge(project, idle(time.Hour))},
		"two":                   {[]id.Tenant{short, plain, strict}, Merge(project, idle(time.Hour), absolute(day))},
	} {
		if got := r.For(c.of); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if got := (Rules{Project: project}).For([]id.Tenant{strict}); got != project {
		t.Errorf("a project without overrides: %+v", got)
	}
}
