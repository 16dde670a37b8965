package memory

import (
	"reflect"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// reaches reports whether anything that can be reached from v names the project.
func reaches(v reflect.Value, p id.Project) bool {
	if v.Type() == reflect.TypeFor[id.Project]() {
		return v.Equal(reflect.ValueOf(p))
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && v.Type() != reflect.TypeFor[*time.Location]() && reaches(v.Elem(), p)
	case reflect.Struct:
		for i := range v.NumField() {
			if reaches(v.Field(i), p) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if reaches(v.Index(i), p) {
				return true
			}
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			if reaches(key, p) || reaches(value, p) {
				return true
			}
		}
	}
	return false
}

// TestNothingOfAProjectIsForgotten fails when something of an erased project is left
// anywhere in the store.
func TestNothingOfAProjectIsForgotten(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := Open(func() time.Time { return now })
	ctx, p := t.Context(), id.NewProject(now)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	event := func() audit.Event { return audit.New(p, now, audit.ProjectCreated, audit.Origin{}) }
	must(s.Projects().Insert(ctx, directory.Project{ID: p}, event()))
	must(s.Users().Insert(ctx, directory.User{ID: id.NewUser(now), Project: p, LoginIDs: []string{"ada"}}, event()))
	_, err := s.Lives().Change(ctx, p, func(p directory.Project) (directory.Project, []audit.Event, error) {
		p.Status = directory.Deleted
		return p, nil, nil
	})
	must(err)
	if !reaches(reflect.ValueOf(s).Elem(), p) {
		t.Fatal("the test doesn't find what is there")
	}
	now = now.AddDate(1, 0, 0)
	_, err = s.Revocations().Sweep(ctx, now, 9)
	must(err)
	_, err = s.Lives().Erase(ctx, 9)
	must(err)
	if reaches(reflect.ValueOf(s).Elem(), p) {
		t.Error("something of the project is left")
	}
}
