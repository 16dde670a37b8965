package e2e

import (
	"database/sql"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver, to examine what many kills have left

	"github.com/latchkey-dev/latchkey"
)

// How the crash test is built. It has to kill often rather than to load heavily: what
// counts is how many different moments are hit.
const (
	refreshers        = 4 // clients that refresh their sessions
	sessionsPerClient = 4
	enders            = 2 // clients that sign in and end sessions, their own and others'
	sample            = 8 // sessions that ended before the last kill, looked at again after each
	openLimit         = time.Second
	logLimit          = 8 << 10 // KiB; opening reads all of it
)

// crash is the state of the crash test: what the server has acknowledged over all its
// lives.
type crash struct {
	installation
	p       *process
	window  string // the reuse window that was acknowledged last
	holders [][]*holder
	own     [][]*holder // of the enders

	mu      sync.Mutex
	killing bool
	ended   []*holder // acknowledged
	fresh   int       // index in ended: what ended since the last check
	wrong   []string
	count   tally
}

// tally counts what the server has acknowledged.
type tally struct {
	kills, early, signIns, rotations, replays, reads, endings, retried, thefts int
	opened                                                                     []time.Duration
}

// TestCrash kills the server at random moments, while clients refresh and end sessions,
// and checks after every restart that nothing that was acknowledged is lost.
func TestCrash(t *testing.T) {
	c := &crash{installation: newWorld(t).install()}
	kills := 200
	if long() {
		kills = 2000
	}
	begun := time.Now()
	c.open()
	c.p.set(c.in, map[string]any{"refreshRateLimit": 100000, "reuseWindow": "0"})
	c.window = "off"
	c.holders, c.own = make([][]*holder, refreshers), make([][]*holder, enders)
	for i := range c.holders {
		for range sessionsPerClient {
			h, err := c.signIn(userOf("refresher", i))
			if err != nil {
				t.Fatal(err, c.wrong)
			}
			c.holders[i] = append(c.holders[i], h)
		}
	}
	for c.count.kills < kills && !t.Failed() {
		c.cycle()
	}
	c.report(time.Since(begun))
	c.p.stop()
	c.examine()
}

// cycle is one life of the server: load, a kill, a restart, and the checks.
func (c *crash) cycle() {
	c.t.Helper()
	c.changeWindow()
	var clients sync.WaitGroup
	for i := range c.holders {
		clients.Go(func() { c.keepRefreshing(i) })
	}
	for i := range c.own {
		clients.Go(func() { c.keepEnding(i) })
	}
	<-time.After(10*time.Millisecond + rand.N(240*time.Millisecond))
	c.mu.Lock()
	c.killing = true
	c.mu.Unlock()
	c.p.kill()
	clients.Wait()
	c.killing = false
	c.count.kills++
	if rand.N(8) == 0 {
		c.killWhileOpening()
	}
	c.open()
	c.check()
	for _, what := range c.wrong {
		c.t.Error(what)
	}
}

// open starts the server on what the last kill has left.
func (c *crash) open() {
	c.t.Helper()
	c.p = c.launch(nil, c.command()...)
	if err := c.p.awaitReady(); err != nil {
		c.t.Fatal(err)
	}
	limit := openLimit
	if raced() {
		limit *= 5
	}
	if c.p.opened > limit {
		c.t.Errorf("opening took %v after %d kills, the limit is %v", c.p.opened, c.count.kills, limit)
	}
	c.count.opened = append(c.count.opened, c.p.opened)
}

// command is fixed over all lives: tokens name the public URL, and the port changes.
func (c *crash) command() []string {
	return c.args("serve", "--addr", "127.0.0.1:0", "--public-url", "http://crash.localhost", "--network-limit", "0")
}

// killWhileOpening kills a server that is just about to open what a kill has left.
func (c *crash) killWhileOpening() {
	c.t.Helper()
	p := c.launch(nil, c.command()...)
	<-time.After(rand.N(2 * slices.Min(c.count.opened)))
	p.kill()
	c.count.early++
}

// changeWindow sets a reuse window for the next life. None at all gives the most
// rotations, a long one replays.
func (c *crash) changeWindow() {
	c.t.Helper()
	c.window = []string{"off", "off", "off", "50ms", "1s"}[rand.N(5)]
	c.p.set(c.in, map[string]any{"reuseWindow": c.window})
}

// report prints what was done and how long it took.
func (c *crash) report(took time.Duration) {
	n := &c.count
	slices.Sort(n.opened)
	at := func(q float64) time.Duration {
		return n.opened[min(len(n.opened)-1, int(q*float64(len(n.opened))))].Round(time.Millisecond)
	}
	c.t.Logf("%d kills and %d while opening, in %v", n.kills, n.early, took.Round(time.Second))
	c.t.Logf("acknowledged: %d rotations, %d replays, %d reads, %d sign-ins, %d endings; %d refreshes had no answer and were tried again; %d old tokens found out",
		n.rotations, n.replays, n.reads, n.signIns, n.endings, n.retried, n.thefts)
	file, log := c.sizes()
	if log > logLimit {
		c.t.Errorf("the write-ahead log has %d KiB after %d kills, the limit is %d: it grows with every life", log, n.kills, logLimit)
	}
	c.t.Logf("start to ready: p50 %v, p99 %v, max %v; the store has %d KiB and a log of %d KiB", at(.5), at(.99), at(1), file, log)
	if !c.t.Failed() && (n.rotations < 10*n.kills || n.endings < n.kills || n.retried == 0 || n.thefts == 0) {
		c.t.Errorf("too little was going on for the kills to mean anything: %+v", *n)
	}
}

// examine has the database itself look for damage.
func (c *crash) examine() {
	c.t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(c.store, "sqlite://"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	var found string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&found); err != nil || found != "ok" {
		c.t.Errorf("the integrity check says %q, %v", found, err)
	}
}

// violation notes what must never happen.
func (c *crash) violation(h *holder, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) < 20 {
		c.wrong = append(c.wrong, h.sid+": "+what)
	}
}

// check asks the restarted server about everything that the last one acknowledged.
func (c *crash) check() {
	c.t.Helper()
	var answer latchkey.SettingsAnswer
	c.p.get(c.in.ManagementKey, c.in.api("/settings")).must(c.t, &answer)
	if got := answer.Settings.ReuseWindow.String(); got != c.window {
		c.t.Errorf("the reuse window is %s, but %s was acknowledged", got, c.window)
	}
	if h := c.holders[rand.N(refreshers)][rand.N(sessionsPerClient)]; c.window == "off" {
		c.checkReplaced(h)
	}
	var checks sync.WaitGroup
	for _, group := range slices.Concat(c.holders, c.own) {
		checks.Go(func() { c.checkHeld(group) })
	}
	c.mu.Lock()
	over := slices.Clone(c.ended[c.fresh:])
	for range min(sample, c.fresh) {
		over = append(over, c.ended[rand.N(c.fresh)])
	}
	c.fresh = len(c.ended)
	c.mu.Unlock()
	half := len(over) / 2
	for _, part := range [][]*holder{over[:half], over[half:]} {
		checks.Go(func() {
			for _, h := range part {
				c.checkEnded(h)
			}
		})
	}
	checks.Wait()
}
