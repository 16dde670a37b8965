package latchkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
)

const (
	// pollWait is how long the server may hold an answer back while there is nothing to
	// tell. It would wait longer; but silence is as long, and a strict check's default
	// bound of 30 s has to leave room for a poll that fails.
	pollWait = 15 * time.Second

	pollSlack = 10 * time.Second // for everything else about a poll
	pollPause = time.Second      // between polls that lead nowhere

	// maxPoll bounds an answer: a thousand entries of 300 bytes are the most that a
	// server sends.
	maxPoll = 2 << 20
)

// pollOn polls until that fails, or until it is time to stream again.
func (f *follower) pollOn(ctx context.Context) error {
	complete := false
	for {
		before, asked := f.place(), f.now()
		wait := pollWait
		if !complete {
			// Whether anything is missing is to be known now, and not only once something
			// happens.
			wait = 0
		}
		list, err := f.pollOnce(ctx, wait)
		if err != nil {
			return err
		}
		f.learn(list.ServerTime)
		for i := range list.Entries {
			f.take(&list.Entries[i], complete && !list.Snapshot)
		}
		f.advance(list.Cursor)
		if list.More {
			if list.Cursor == before || list.Cursor == "" {
				return errStuck
			}
			continue
		}
		f.heard()
		f.failures = 0
		if f.streamDue() {
			return errTryToStream
		}
		// A server that answers at once with nothing new, or that never knows the cursor
		// which it gave, isn't asked in a tight loop.
		idle := f.place() == before || list.Snapshot
		if complete && idle && f.now().Sub(asked) < pollPause && !rest(ctx, pollPause) {
			return ctx.Err()
		}
		complete = true
	}
}

func (f *follower) pollOnce(ctx context.Context, wait time.Duration) (RevocationList, error) {
	var list RevocationList
	ctx, cancel := context.WithTimeoutCause(ctx, wait+pollSlack, errSilent)
	defer cancel()
	res, err := f.ask(ctx, "application/json", url.Values{"wait": {fmt.Sprintf("%ds", wait/time.Second)}})
	if err == nil {
		defer res.Body.Close()
		if media(res.Header) != "application/json" {
			return list, errors.New("the answer isn't JSON")
		}
		var body []byte
		if body, err = io.ReadAll(io.LimitReader(res.Body, maxPoll+1)); err == nil {
			return list, decodeList(body, &list)
		}
	}
	if context.Cause(ctx) == errSilent {
		err = errSilent
	}
	return list, err
}

// decodeList reads an answer to a poll. An entry that can't be read counts as one that
// makes no sense and doesn't spoil the others.
func decodeList(body []byte, list *RevocationList) error {
	if len(body) > maxPoll {
		return errors.New("the answer is too long")
	}
	var raw struct {
		RevocationList
		Entries []json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return errors.New("the answer isn't a list of revocations")
	}
	*list = raw.RevocationList
	list.Entries = make([]Revocation, len(raw.Entries))
	for i, text := range raw.Entries {
		if json.Unmarshal(text, &list.Entries[i]) != nil {
			list.Entries[i] = Revocation{}
		}
	}
	return nil
}
