package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// domainReads counts the reads of the table of domains.
type domainReads struct {
	directory.ProjectStore
	mu     sync.Mutex
	reads  int
	broken error
	during func() // called inside a read
}

func (s *domainReads) Domains(ctx context.Context, after string, limit int) ([]directory.Domain, error) {
	s.mu.Lock()
	s.reads++
	broken, during := s.broken, s.during
	s.mu.Unlock()
	if broken != nil {
		return nil, broken
	}
	page, err := s.ProjectStore.Domains(ctx, after, limit)
	if during != nil {
		during()
	}
	return page, err
}

func (s *domainReads) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.reads
	s.reads = 0
	return n
}

func (w *world) domainReads() *domainReads {
	w.t.Helper()
	s := &domainReads{ProjectStore: w.store.Projects()}
	d := w.deps()
	d.Projects, d.PublicURL = s, "https://id.latchkey.example:8443/x"
	w.on(d)
	return s
}

// leads fails unless host leads to p; the zero project is nowhere.
func (w *world) leads(host string, p id.Project) {
	w.t.Helper()
	got, ok, err := w.ProjectAt(w.t.Context(), host)
	if err != nil || got != p || ok == p.IsZero() {
		w.t.Errorf("%s leads to %v, %v, %v", host, got, ok, err)
	}
}

var nowhere id.Project

func TestProjectAt(t *testing.T) {
	w := newWorld(t)
	w.domainReads()
	w.leads("auth.example.com", nowhere)
	if _, err := w.patch(`{"customDomain":"auth.example.com"}`); err != nil {
		t.Fatal(err)
	}
	// A change of this process counts at once.
	w.leads("auth.example.com", w.project)
	for _, host := range []string{"AUTH.example.com", "auth.example.com:443", "auth.example.com.", "example.com", "x.auth.example.com", "evil-auth.example.com", ""} {
		w.leads(host, nowhere)
	}
	if _, err := w.patch(`{"customDomain":"login.example.com"}`); err != nil {
		t.Fatal(err)
	}
	w.leads("auth.example.com", nowhere)
	w.leads("login.example.com", w.project)
	if _, err := w.patch(`{"customDomain":null}`); err != nil {
		t.Fatal(err)
	}
	w.leads("login.example.com", nowhere)
}

// Hosts that a stranger makes up don't reach the store, however many there are.
func TestJunkHostsDoNotReachTheStore(t *testing.T) {
	w := newWorld(t)
	s := w.domainReads()
	for i := range 1000 {
		w.leads(fmt.Sprintf("junk%d.example", i), nowhere)
	}
	if n := s.count(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	w.clock.pass(3 * time.Second)
	for i := range 1000 {
		w.leads(strings.Repeat("x", i), nowhere)
	}
	if n := s.count(); n != 1 {
		t.Errorf("the store was asked %d times after a while", n)
	}
}

// What another process changed counts after a moment.
func TestProjectAtOfAnotherProcess(t *testing.T) {
	w := newWorld(t)
	w.domainReads()
	w.leads("auth.example.com", nowhere)
	other, err := directory.New(w.deps())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ChangeSettings(t.Context(), w.project, []byte(`{"customDomain":"auth.example.com"}`), operator); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(2 * time.Second)
	w.leads("auth.example.com", w.project)
}

func TestProjectAtWhileTheStoreFails(t *testing.T) {
	w := newWorld(t)
	s := w.domainReads()
	broken := errors.New("broken")
	s.broken = broken
	if _, _, err := w.ProjectAt(t.Context(), "auth.example.com"); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	s.broken = nil
	if _, err := w.patch(`{"customDomain":"auth.example.com"}`); err != nil {
		t.Fatal(err)
	}
	w.leads("auth.example.com", w.project)
	s.broken = broken
	w.clock.pass(time.Minute)
	w.leads("auth.example.com", w.project) // what is known stays in use
	s.count()
	for range 100 {
		w.leads("auth.example.com", w.project)
	}
	if n := s.count(); n != 0 {
		t.Errorf("a store that fails was asked %d times more", n)
	}
	s.broken = nil
	w.clock.pass(time.Minute)
	w.leads("x.example", nowhere)
}

// A table that was read while a domain changed isn't believed.
func TestProjectAtDuringAChange(t *testing.T) {
	w := newWorld(t)
	s := w.domainReads()
	s.during = func() {
		s.mu.Lock()
		s.during = nil
		s.mu.Unlock()
		if _, err := w.patch(`{"customDomain":"auth.example.com"}`); err != nil {
			t.Error(err)
		}
	}
	w.leads("auth.example.com", nowhere) // it was asked before the change
	w.leads("auth.example.com", w.project)
}

func TestProjectAtForMany(t *testing.T) {
	w := newWorld(t)
	s := w.domainReads()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				w.leads("auth.example.com", nowhere)
			}
		})
	}
	all.Wait()
	if n := s.count(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestManyDomains(t *testing.T) {
	w := newWorld(t)
	w.domainReads()
	hosts := map[string]id.Project{}
	for i := range 1001 { // more than two pages
		p, err := w.CreateProject(t.Context(), "Shop", w.master, operator)
		if err != nil {
			t.Fatal(err)
		}
		host := fmt.Sprintf("a%d.example.com", i)
		if _, err := w.ChangeSettings(t.Context(), p.ID, []byte(`{"customDomain":"`+host+`"}`), operator); err != nil {
			t.Fatal(err)
		}
		hosts[host] = p.ID
	}
	for host, p := range hosts {
		w.leads(host, p)
	}
}

func TestCustomDomainIsRefused(t *testing.T) {
	w := newWorld(t)
	w.domainReads()
	other, err := w.CreateProject(t.Context(), "Other", w.master, operator)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ChangeSettings(t.Context(), other.ID, []byte(`{"customDomain":"auth.example.com"}`), operator); err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"auth.example.com", "id.latchkey.example"} {
		_, err := w.patch(`{"customDomain":"` + domain + `"}`)
		refused(t, err, fault.Conflict)
		if at(err) != "/customDomain" {
			t.Errorf("%v", err)
		}
	}
	if got := w.settings().Settings.CustomDomain; got != "" {
		t.Errorf("the domain is %q", got)
	}
	w.leads("auth.example.com", other.ID)
}

func TestUnreadablePublicURL(t *testing.T) {
	d := newWorld(t).deps()
	d.PublicURL = "http://[::1"
	if _, err := directory.New(d); err == nil {
		t.Error("accepted")
	}
}
