package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	roleChanges = 20
	betweenRole = 200 * time.Millisecond
	dryRunBody  = `{"absoluteTimeout":"10d","idleTimeout":"2d"}`
)

// interval is a piece of a run.
type interval struct{ from, to time.Time }

// holds reports whether any of the attempt was in the interval.
func (i interval) holds(a attempt) bool {
	return a.began.Before(i.to) && a.began.Add(a.took).After(i.from)
}

// disturb refreshes sessions while the role changes, and while a dry-run goes on.
func (r *listsRun) disturb(ctx context.Context, out *listsAnswer) error {
	load := &generator{
		addr: strings.TrimPrefix(r.url, "http://"), path: "/" + r.project.String() + "/session/refresh", clients: r.lists.refreshes,
		lasts: time.Hour, tokens: r.tokens, dated: true,
		ticked: func(done int64, elapsed time.Duration) {
			r.show.show("refreshing: %d, %.0f a second", done, float64(done)/elapsed.Seconds())
		},
	}
	refreshing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		f, err := load.run(refreshing)
		if err == nil && f.Failed > 0 {
			err = fmt.Errorf("%d refreshes failed: %s", f.Failed, f.FirstFail)
		}
		ended <- err
	}()
	quiet, changing, running, err := r.disturbances(ctx, &out.Role)
	stop()
	if failed := <-ended; err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	out.Role.Concerned = r.concerned
	out.Role.Before, out.Role.DuringChange, out.Role.DuringDryRun = within(load, quiet), within(load, changing...), within(load, running)
	return nil
}

// disturbances says when it was quiet, when the role changed and when the dry-run ran.
func (r *listsRun) disturbances(ctx context.Context, out *roleFigures) (quiet interval, changing []interval, running interval, err error) {
	// The first refresh of a session after the server's start costs more.
	if err = rest(ctx, r.lists.lasts/4); err != nil {
		return
	}
	quiet.from = time.Now()
	if err = rest(ctx, r.lists.lasts/4); err != nil {
		return
	}
	quiet.to = time.Now()
	var times []time.Duration
	for i := range roleChanges {
		body := fmt.Sprintf(`{"permissions":[%q]}`, permissionsOfRole[(i+1)%len(permissionsOfRole)])
		start := time.Now()
		_, took, err := r.call(ctx, http.MethodPatch, "/v1/projects/"+r.project.String()+"/roles/"+r.role.String(), body)
		if err == nil {
			err = rest(ctx, betweenRole)
		}
		if err != nil {
			return quiet, changing, running, err
		}
		// What comes just after a change may be what it has held up.
		changing, times = append(changing, interval{start, time.Now()}), append(times, took)
	}
	out.Change = spread(times)
	running.from = time.Now()
	_, took, err := r.call(ctx, http.MethodPost, "/v1/projects/"+r.project.String()+"/settings/dry-run", dryRunBody)
	running.to = time.Now()
	out.DryRun = spread([]time.Duration{took})
	return quiet, changing, running, err
}

// within is the distribution of the refreshes of which a part was in the intervals.
func within(load *generator, during ...interval) figures {
	var times []time.Duration
	for _, a := range load.attempts() {
		for _, i := range during {
			if i.holds(a) {
				times = append(times, a.took)
				break
			}
		}
	}
	if len(times) == 0 {
		return figures{}
	}
	f := spread(times)
	lasted := time.Duration(0)
	for _, i := range during {
		lasted += i.to.Sub(i.from)
	}
	f.PerSecond = float64(len(times)) / lasted.Seconds()
	return f
}
