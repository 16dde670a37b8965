package native

import (
	"fmt"
	"net/http"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/fault"
	"github.com/latchkey-dev/latchkey/internal/id"
)

// maxBatch is how many users one call may add and remove.
const maxBatch = 1000

// The states of an item of a batch.
const (
	itemCreated = "created"
	itemDeleted = "deleted"
	itemRefused = "refused"
)

func (f *Face) batchRoutes() []Route {
	scope := directory.ScopeUsers
	return []Route{{
		Method: "POST", Pattern: "/v1/projects/{project}/users/batch", ID: "batchUsers", Tag: tagUsers, Scope: scope,
		Summary: "Add and remove up to 1000 users",
		About: "Each user is added or removed for itself: one that is refused leaves the others alone, and the answer is 200 all the same. It says of each, in " +
			"order, what became of it. Deletions come first. Of two that want the same login id, the first gets it.",
		Body: latchkey.UserBatch{}, Answer: latchkey.UserBatchResult{}, serve: f.managed(scope, f.batchUsers),
	}}
}

func (f *Face) batchUsers(w http.ResponseWriter, r *http.Request, c caller) error {
	var body latchkey.UserBatch
	if err := wire.Decode(r, wire.MaxBody, &body); err != nil {
		return err
	}
	if n := len(body.Create) + len(body.Delete); n > maxBatch {
		return fault.New(fault.Invalid, "The batch is too large.").WithFields(
			fault.Field{Code: "size", Detail: fmt.Sprintf("At most %d users can be added and removed at once; these are %d.", maxBatch, n)})
	}
	out := latchkey.UserBatchResult{Delete: f.deleteMany(r, c, body.Delete)}
	var err error
	if out.Create, err = f.createMany(r, c, body.Create); err != nil {
		return err
	}
	for _, list := range [][]latchkey.UserOutcome{out.Delete, out.Create} {
		for _, one := range list {
			switch one.Status {
			case itemCreated:
				out.Created++
			case itemDeleted:
				out.Deleted++
			default:
				out.Refused++
			}
		}
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (f *Face) deleteMany(r *http.Request, c caller, names []string) []latchkey.UserOutcome {
	out := make([]latchkey.UserOutcome, len(names))
	var users []id.User
	var at []int
	for i, name := range names {
		u, err := id.ParseUser(name)
		if err != nil {
			out[i] = f.refusedItem(r, fmt.Sprintf("/delete/%d", i), fault.New(fault.NotFound, "This project has no such user."))
			continue
		}
		users, at = append(users, u), append(at, i)
	}
	for j, err := range f.d.Directory.DeleteUsers(r.Context(), c.project, users, c.origin) {
		i := at[j]
		if err != nil {
			out[i] = f.refusedItem(r, fmt.Sprintf("/delete/%d", i), err)
		} else {
			out[i].Status = itemDeleted
		}
		out[i].ID = users[j].String()
	}
	return out
}

func (f *Face) createMany(r *http.Request, c caller, all []latchkey.UserRequest) ([]latchkey.UserOutcome, error) {
	changes := make([]directory.UserChange, len(all))
	for i, one := range all {
		changes[i] = userChange(one, nil)
	}
	outcomes := f.d.Directory.CreateUsers(r.Context(), c.project, changes, c.origin)
	out := make([]latchkey.UserOutcome, len(all))
	var made []directory.User
	var at []int
	for i, one := range outcomes {
		if one.Err != nil {
			out[i] = f.refusedItem(r, fmt.Sprintf("/create/%d", i), one.Err)
			continue
		}
		made, at = append(made, one.User), append(at, i)
	}
	users, err := f.renderUsers(r.Context(), c.project, made...)
	if err != nil {
		return nil, err
	}
	shown := fitting(users)
	for j := range users {
		out[at[j]] = latchkey.UserOutcome{Status: itemCreated, ID: users[j].ID}
		if j < shown {
			out[at[j]].User = &users[j]
		}
	}
	return out, nil
}

// refusedItem says why an item was refused, with the pointers of what is wrong below its
// own. What only the log may know is reported as for a request of its own.
func (f *Face) refusedItem(r *http.Request, pointer string, err error) latchkey.UserOutcome {
	problem, unknown := wire.Item(below(pointer, err))
	if unknown && f.d.Edge.Report != nil {
		f.d.Edge.Report(r, http.StatusInternalServerError, err)
	}
	return latchkey.UserOutcome{Status: itemRefused, Problem: &problem}
}
