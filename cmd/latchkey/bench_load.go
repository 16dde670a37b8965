package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// figures is what one measurement found. Times are milliseconds.
type figures struct {
	Requests  int     `json:"requests"`
	Failed    int     `json:"failed"`
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50Ms"`
	P95       float64 `json:"p95Ms"`
	P99       float64 `json:"p99Ms"`
	Max       float64 `json:"maxMs"`
	FirstFail string  `json:"firstFailure,omitempty"`
}

func (f figures) mean(g figures) figures {
	half := func(a, b float64) float64 { return (a + b) / 2 }
	return figures{
		Requests: f.Requests + g.Requests, Failed: f.Failed + g.Failed, PerSecond: half(f.PerSecond, g.PerSecond),
		P50: half(f.P50, g.P50), P95: half(f.P95, g.P95), P99: half(f.P99, g.P99), Max: max(f.Max, g.Max), FirstFail: f.FirstFail + g.FirstFail,
	}
}

// generator is a source of requests. The standard library's client would cost as much as
// the server under test and share its cores, so this one writes requests that are
// prepared as far as they can be and reads of an answer what it needs.
type generator struct {
	addr    string
	path    string
	clients int
	lasts   time.Duration
	tokens  []string // each client cycles through a part of its own
	once    bool     // stop when each token has been presented once
	dated   bool     // keep when each refresh began, for attempts
	ticked  func(done int64, elapsed time.Duration)
	ran     []*client // by run
}

// attempt is one refresh that succeeded.
type attempt struct {
	began time.Time
	took  time.Duration
}

// attempts returns what a dated run has done, in no particular order.
func (l *generator) attempts() []attempt {
	var all []attempt
	for _, c := range l.ran {
		for i, began := range c.began {
			all = append(all, attempt{began, c.times[i]})
		}
	}
	return all
}

func (l *generator) run(ctx context.Context) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, l.lasts)
	defer cancel()
	start := time.Now()
	var done atomic.Int64
	clients := make([]*client, l.clients)
	var working, watching sync.WaitGroup
	for i := range clients {
		from, to := i*len(l.tokens)/l.clients, (i+1)*len(l.tokens)/l.clients
		clients[i] = &client{load: l, tokens: l.tokens[from:to], done: &done}
		working.Go(func() { clients[i].run(ctx) })
	}
	watching.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.ticked(done.Load(), time.Since(start))
			}
		}
	})
	working.Wait()
	took := time.Since(start)
	cancel()
	watching.Wait()
	l.ran = clients
	return summary(clients, took)
}

func summary(clients []*client, took time.Duration) (figures, error) {
	var f figures
	var times []time.Duration
	for _, c := range clients {
		times = append(times, c.times...)
		f.Failed += c.failed
		if f.FirstFail == "" && c.err != nil {
			f.FirstFail = c.err.Error()
		}
	}
	if len(times) == 0 {
		return f, fmt.Errorf("no request succeeded: %s", f.FirstFail)
	}
	all := spread(times)
	all.Failed, all.FirstFail, all.PerSecond = f.Failed, f.FirstFail, float64(len(times))/took.Seconds()
	return all, nil
}

// spread is the distribution of durations, of which there is one at least.
func spread(list []time.Duration) figures {
	slices.Sort(list)
	at := func(q float64) float64 {
		return float64(list[min(len(list)-1, int(q*float64(len(list))))]) / float64(time.Millisecond)
	}
	return figures{Requests: len(list), P50: at(.5), P95: at(.95), P99: at(.99), Max: at(1)}
}

// client is one connection with tokens of its own, so that every refresh presents the
// token that the one before it got.
type client struct {
	load   *generator
	tokens []string
	done   *atomic.Int64
	times  []time.Duration
	began  []time.Time // of each of times, when load is dated
	failed int
	err    error // the first failure

	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

func (c *client) run(ctx context.Context) {
	if len(c.tokens) == 0 {
		return
	}
	defer func() {
		if c.conn != nil {
			c.conn.Close()
		}
	}()
	for n := 0; ctx.Err() == nil; n++ {
		if c.load.once && n == len(c.tokens) {
			return
		}
		i := n % len(c.tokens)
		start := time.Now()
		next, err := c.refresh(c.tokens[i])
		if err != nil {
			c.failed++
			if c.err == nil {
				c.err = err
			}
			if c.failed > 1000 {
				return
			}
			continue
		}
		c.tokens[i] = next
		c.times = append(c.times, time.Since(start))
		if c.load.dated {
			c.began = append(c.began, start)
		}
		c.done.Add(1)
	}
}

const answerTimeout = 10 * time.Second

func (c *client) refresh(token string) (string, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.load.addr)
		if err != nil {
			return "", err
		}
		c.conn, c.r = conn, bufio.NewReaderSize(conn, 8<<10)
	}
	next, err := c.exchange(token)
	if err != nil {
		c.conn.Close()
		c.conn = nil
	}
	return next, err
}

func (c *client) exchange(token string) (string, error) {
	body := len(`{"refreshToken":""}`) + len(token)
	c.buf = append(c.buf[:0], "POST "+c.load.path+" HTTP/1.1\r\nHost: bench\r\nUser-Agent: latchkey-bench\r\nContent-Type: application/json\r\nContent-Length: "...)
	c.buf = strconv.AppendInt(c.buf, int64(body), 10)
	c.buf = append(c.buf, "\r\n\r\n{\"refreshToken\":\""...)
	c.buf = append(c.buf, token...)
	c.buf = append(c.buf, `"}`...)
	c.conn.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := c.conn.Write(c.buf); err != nil {
		return "", err
	}
	status, answer, err := c.read()
	if err != nil {
		return "", err
	}
	if !strings.Contains(status, " 200 ") {
		return "", fmt.Errorf("%s: %.300s", strings.TrimSpace(status), answer)
	}
	_, rest, ok := bytes.Cut(answer, []byte(`"refreshToken":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return "", fmt.Errorf("the answer holds no refresh token: %.100s", answer)
	}
	return string(rest[:end]), nil
}

// read reads one answer, which has a Content-Length.
func (c *client) read() (status string, body []byte, err error) {
	if status, err = c.r.ReadString('\n'); err != nil {
		return "", nil, err
	}
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return "", nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return "", nil, err
			}
		}
	}
	if length < 0 || length > 1<<20 {
		return "", nil, fmt.Errorf("the answer has no usable Content-Length")
	}
	if cap(c.buf) < length {
		c.buf = make([]byte, length)
	}
	body = c.buf[:length]
	_, err = io.ReadFull(c.r, body)
	return status, body, err
}
