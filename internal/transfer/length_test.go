package transfer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/transfer"
)

// lengthy is a file with users whose tokens are too long for their own reasons, and with
// others; the lines of the former are the second result.
func lengthy() (file string, long []int) {
	x := func(n int) string { return strings.Repeat("x", n) }
	lines := []string{`{"kind":"project","name":"Shop","settings":{"delivery":{"session":"cookie","refresh":"cookie"},"claimsInRefreshToken":false}}`}
	add := func(line string) int { lines = append(lines, line); return len(lines) }
	for i := range 60 {
		add(fmt.Sprintf(`{"kind":"permission","name":"p%02d%s"}`, i, x(50)))
	}
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("%q", fmt.Sprintf("p%02d%s", i, x(50))))
	}
	add(fmt.Sprintf(`{"kind":"role","id":%q,"name":"everything","permissions":[%s]}`, numbered[id.Role](1), strings.Join(all, ",")))
	add(fmt.Sprintf(`{"kind":"role","id":%q,"name":"little"}`, numbered[id.Role](2)))
	add(fmt.Sprintf(`{"kind":"tenant","id":%q,"name":"Wordy","attributes":{"about":%q}}`, numbered[id.Tenant](1), x(450)))
	add(fmt.Sprintf(`{"kind":"tenant","id":%q,"name":"Gone","status":"disabled","attributes":{"about":%q}}`, numbered[id.Tenant](2), x(450)))
	add(fmt.Sprintf(`{"kind":"tenant","id":%q,"name":"Plain"}`, numbered[id.Tenant](3)))
	long = append(long, add(`{"kind":"user","loginIds":["role"],"roles":["everything"]}`))
	add(`{"kind":"user","loginIds":["fine"],"roles":["little"],"attributes":{"about":"short"}}`)
	long = append(long, add(fmt.Sprintf(`{"kind":"user","loginIds":["attributes"],"attributes":{"about":%q}}`, x(450))))
	long = append(long, add(fmt.Sprintf(`{"kind":"user","loginIds":["tenant"],"tenants":[{"tenant":%q},{"tenant":%q}]}`, numbered[id.Tenant](3), numbered[id.Tenant](1))))
	add(fmt.Sprintf(`{"kind":"user","loginIds":["gone"],"tenants":[{"tenant":%q}]}`, numbered[id.Tenant](2)))
	add(`{"kind":"user","loginIds":["nothing"]}`)
	var claims []string
	for _, of := range []string{"user", "tenant"} {
		for i := range 7 {
			claims = append(claims, fmt.Sprintf(`"%s%d":"{{ %s.attributes.about }}"`, of, i, of))
		}
	}
	add(`{"kind":"template","of":"user","stable":{"document":{"claims":{` + strings.Join(claims, ",") + `}}}}`)
	return strings.Join(lines, "\n"), long
}

func lines(r transfer.Report) (at []int) {
	for _, l := range r.Long {
		at = append(at, l.Line)
	}
	return at
}

// A dry-run tells whose tokens would be too long, the import tells the same of the same,
// and that is what the store then holds.
func TestTokensThatWouldBeTooLong(t *testing.T) {
	w := newWorld(t)
	file, want := lengthy()
	before := w.export()
	checked := w.check(file)
	if checked.Found > 0 || checked.TooLong != 0 {
		t.Fatalf("%s%+v", problems(checked), checked.Long)
	}
	dry, err := w.Measure(t.Context(), w.target(), strings.NewReader(file), checked, func(int) {})
	w.must(err)
	if !slices.Equal(lines(dry), want) || dry.TooLong != len(want) || fmt.Sprint(dry.Outcome) != fmt.Sprint(checked.Outcome) {
		t.Errorf("dry-run: lines %v of %d, want %v", lines(dry), dry.TooLong, want)
	}
	if w.export() != before {
		t.Error("measuring changed something")
	}
	done := w.imported(file)
	for i, l := range done.Long {
		same := dry.Long[i]
		same.User = l.User
		if l != same || l.Bytes <= l.Limit || l.Limit != 4096 || l.LoginID == "" {
			t.Errorf("applied %+v, foretold %+v", l, same)
		}
		u, err := w.store.Users().FindByLogin(t.Context(), w.p, l.LoginID)
		w.must(err)
		if u.ID != l.User {
			t.Errorf("%s is %s, not %s", l.LoginID, u.ID, l.User)
		}
	}
	if !slices.Equal(lines(done), want) {
		t.Errorf("import: lines %v, want %v", lines(done), want)
	}
	// Lines that leave everything as it is are measured as what is stored: with the
	// stored template, roles, tenants and settings.
	again := "\n" + `{"kind":"user","loginIds":["tenant"]}` + "\n" + `{"kind":"user","loginIds":["fine"]}` + "\n" + `{"kind":"user","loginIds":["role"],"name":"R"}`
	if r := w.imported(again); !slices.Equal(lines(r), []int{2, 4}) {
		t.Errorf("stored: %v", r.Long)
	}
	// Bodies have room for four times as much.
	room := `{"kind":"project","settings":{"delivery":{"session":"body","refresh":"body"}}}` + "\n" + `{"kind":"user","loginIds":["role"]}`
	if r := w.imported(room); r.TooLong != 0 {
		t.Errorf("in a body: %v", r.Long)
	}
}

// A project that isn't there yet has no keys, and its tokens have a length all the same.
func TestTokensOfANewProjectThatWouldBeTooLong(t *testing.T) {
	w := newWorld(t)
	file, want := lengthy()
	target := w.target()
	target.Project, target.New = id.NewProject(start), true
	checked, err := w.Check(t.Context(), target, strings.NewReader(file), func(int) {})
	w.must(err)
	dry, err := w.Measure(t.Context(), target, strings.NewReader(file), checked, func(int) {})
	w.must(err)
	if dry.Found > 0 || !slices.Equal(lines(dry), want) {
		t.Errorf("%s%v, want %v", problems(dry), lines(dry), want)
	}
}

func TestTokensThatWouldBeTooLongAreBounded(t *testing.T) {
	w := newWorld(t)
	file, _ := lengthy()
	for i := range 3 * transfer.MaxLong {
		file += fmt.Sprintf("\n"+`{"kind":"user","loginIds":["more%d"],"roles":["everything"]}`, i)
	}
	if r := w.imported(file); len(r.Long) != transfer.MaxLong || r.TooLong != 3+3*transfer.MaxLong {
		t.Errorf("%d named of %d", len(r.Long), r.TooLong)
	}
}

// Users with roles, tenants and a template: what measuring them costs an import.
func BenchmarkImport(b *testing.B) {
	file, _ := lengthy()
	head, tail, _ := strings.Cut(file, `{"kind":"user"`)
	_, template, _ := strings.Cut(tail, `{"kind":"template"`)
	var text strings.Builder
	text.WriteString(head)
	const users = 5000
	for i := range users {
		fmt.Fprintf(&text, `{"kind":"user","loginIds":["u%d@example.com"],"roles":["little"],"attributes":{"about":"short"},"tenants":[{"tenant":%q,"roles":["little"]}]}`+"\n", i, numbered[id.Tenant](3))
	}
	text.WriteString(`{"kind":"template"` + template)
	for _, part := range []string{"check", "measure"} {
		b.Run(part, func(b *testing.B) {
			for b.Loop() {
				w := newWorld(b)
				r := w.check(text.String())
				if part == "measure" {
					var err error
					r, err = w.Measure(b.Context(), w.target(), strings.NewReader(text.String()), r, func(int) {})
					w.must(err)
				}
				if r.Found > 0 || r.TooLong > 0 {
					b.Fatal(r.Problems, r.TooLong)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/users, "µs/user")
		})
	}
}
