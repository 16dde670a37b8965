package latchkey

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// PageRequest says which part of a list is asked for.
type PageRequest struct {
	Size  int    // entries at most, 1 to 200; the server's choice when zero
	Token string // NextPageToken of the page before; empty for the first
}

// largestPage is what the server gives at once at most.
const largestPage = 200

// maxEmpty is how many pages in a row may be empty. A page is when a filter selects
// nothing of the hundreds of entries that one answer looks at; but a list that never ends
// and never says anything would otherwise keep its reader for good.
const maxEmpty = 10_000

// each yields the entries of all pages. It doesn't ask for a page that nobody wants.
func each[T any](fetch func(PageRequest) (entries []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		token, empty := "", 0
		for {
			entries, next, err := fetch(PageRequest{Size: largestPage, Token: token})
			if err != nil {
				yield(none, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			if empty++; len(entries) > 0 {
				empty = 0
			}
			switch {
			case next == "":
				return
			case next == token || empty == maxEmpty:
				yield(none, errors.New("latchkey: the list doesn't go on although the server says so"))
				return
			}
			token = next
		}
	}
}

// queryOf writes a page and a filter, a struct whose fields are named by the tag query,
// as query parameters. Zero values are left out.
func queryOf(p PageRequest, filter any) (url.Values, error) {
	q := url.Values{}
	if p.Size > 0 {
		q.Set("pageSize", strconv.Itoa(p.Size))
	}
	if p.Token != "" {
		q.Set("pageToken", p.Token)
	}
	if filter == nil {
		return q, nil
	}
	v := reflect.ValueOf(filter)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("query")
		if v.Field(i).IsZero() {
			continue
		}
		switch value := v.Field(i).Interface().(type) {
		case string:
			q.Set(name, value)
		case []string:
			q.Set(name, strings.Join(value, ","))
		case time.Time:
			q.Set(name, value.UTC().Format(time.RFC3339Nano))
		default:
			return nil, fmt.Errorf("latchkey: a filter of type %T can't be sent", value)
		}
		if isCredential(q.Get(name)) {
			// It would end up in the logs of everything on the way.
			return nil, fmt.Errorf("latchkey: the filter %s holds a credential; it wasn't sent", name)
		}
	}
	return q, nil
}

// isCredential reports whether s is what must not get into a URL.
func isCredential(s string) bool {
	for _, prefix := range []string{"rt_", "lk_"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") >= 2
}

// join appends path elements to an address: identifiers, and never a token that a caller
// has taken for one.
func join(base string, path []string) (string, error) {
	var b strings.Builder
	b.WriteString(base)
	for _, element := range path {
		if !isID(element) || isCredential(element) {
			return "", errors.New("latchkey: an identifier is empty or malformed; it wasn't sent")
		}
		b.WriteString("/" + element)
	}
	return b.String(), nil
}
