package latchkey

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// repeat says when a call may be sent again.
type repeat uint8

const (
	unsent repeat = iota // only when nothing of it had been sent
	always               // whenever it failed for a passing reason
)

// maxAnswer is what is read of an answer, in bytes. The largest that the server gives, a
// page of 200 sessions with all the claims that they may have, is below it.
const maxAnswer = 8 << 20

// callTime is how long one attempt of a call may take when the caller has set no
// earlier deadline.
const callTime = 30 * time.Second

// operation is a call to be made.
type operation struct {
	method  string
	url     string
	query   url.Values
	body    any // nil: none
	bearer  string
	secrets []string // that the body holds
	repeat  repeat
	gone    bool          // not_found at a repetition means done
	most    int           // repetitions at most, if less than the client's
	attempt time.Duration // for an attempt that can be repeated; callTime when zero
	longest time.Duration // for any other; callTime when zero
}

// call makes a call, repeats it as the operation allows, and reads the answer into what
// into points to; nil when nothing but success matters.
func (c *Client) call(ctx context.Context, op operation, into any) error {
	var body []byte
	if op.body != nil {
		var err error
		if body, err = json.Marshal(op.body); err != nil {
			// The cause may quote the value.
			return fmt.Errorf("latchkey: %s: the request can't be written as JSON (%T)", op.name(), err)
		}
	}
	retries := c.retries
	if op.most > 0 {
		retries = min(retries, op.most)
	}
	for n := 0; ; n++ {
		limit := cmp.Or(op.longest, callTime)
		if n < retries && op.attempt > 0 {
			limit = op.attempt
		}
		err := c.once(ctx, op, body, limit, into)
		if n > 0 && op.gone && CodeOf(err) == CodeNotFound {
			return nil
		}
		if err == nil || n == retries || ctx.Err() != nil || !mayRepeat(op.repeat, err) {
			return err
		}
		if !pause(ctx, delay(err, n)) {
			return err
		}
	}
}

// name is the operation in errors: method and address, without its query.
func (op operation) name() string { return op.method + " " + op.url }

// credentials are what the call sends and must not come back in an error.
func (op operation) credentials() []string { return append([]string{op.bearer}, op.secrets...) }

// once makes one attempt.
func (c *Client) once(ctx context.Context, op operation, body []byte, limit time.Duration, into any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := c.request(ctx, op, body)
	if err != nil {
		return err
	}
	sent := c.now()
	res, err := c.http.Do(req)
	if err != nil {
		return op.lost(err)
	}
	defer res.Body.Close()
	received := c.now()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		// What the body says is taken as far as it came: the status alone is enough.
		refusal := readProblem(res, answer, received, op.credentials())
		if refusal.Code == CodeRequestExpired {
			c.clock.forget()
		}
		c.learnDate(res, sent, received)
		return refusal
	case err != nil:
		return op.lost(err)
	case len(answer) > maxAnswer:
		return fmt.Errorf("latchkey: %s: the answer is larger than %d bytes", op.name(), maxAnswer)
	}
	if err := read(res, answer, into); err != nil {
		return fmt.Errorf("latchkey: %s: %w", op.name(), err)
	}
	if set, ok := into.(*TokenSet); ok {
		c.clock.learn(set.ServerTime, sent, received, 0)
	}
	c.learnDate(res, sent, received)
	return nil
}

func (c *Client) request(ctx context.Context, op operation, body []byte) (*http.Request, error) {
	address := op.url
	if len(op.query) > 0 {
		address += "?" + op.query.Encode()
	}
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, op.method, address, content)
	if err != nil {
		return nil, fmt.Errorf("latchkey: %s: the request can't be made", op.name())
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.agent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if op.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+op.bearer)
	}
	return req, nil
}

func (c *Client) learnDate(res *http.Response, sent, received time.Time) {
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		c.clock.learn(date.Add(dateOff), sent, received, dateOff)
	}
}

// read reads an answer that isn't a refusal. Also one of which nothing is needed has to be
// the server's: the page of a network that wants a sign-in doesn't mean that a session
// has ended.
func read(res *http.Response, answer []byte, into any) error {
	if into == nil {
		into = &struct{}{}
	}
	if media(res.Header) != "application/json" {
		// Its text isn't shown: anybody may have written it.
		return errors.New("the answer isn't JSON")
	}
	if err := json.Unmarshal(answer, into); err != nil {
		// The cause may quote a value.
		return errors.New("the answer can't be read as what was asked for")
	}
	return nil
}

func media(h http.Header) string {
	name, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return name
}

// lostError is a call that got no answer, or not all of it.
type lostError struct {
	name  string
	text  string
	cause error
}

func (e *lostError) Error() string { return "latchkey: " + e.name + ": " + e.text }
func (e *lostError) Unwrap() error { return e.cause }

// lost returns the error of a call that got no answer. The transport may be anyone's: a
// credential that its error repeats is taken out.
func (op operation) lost(cause error) error {
	var wrapped *url.Error
	if errors.As(cause, &wrapped) {
		cause = wrapped.Err // the address is said already
	}
	text := cause.Error()
	if clean := withoutCredentials(text, op.credentials()); clean != text {
		return &lostError{op.name(), clean, nil}
	}
	return &lostError{op.name(), text, cause}
}
