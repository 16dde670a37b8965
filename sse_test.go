package latchkey

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tmaxmax/go-sse"
)

type readEvent struct{ name, id, data string }

// readEvents returns the events of a stream, the last retry, and why it ended.
func readEvents(in io.Reader) ([]readEvent, time.Duration, error) {
	r := newEventReader(in)
	var got []readEvent
	for {
		e, err := r.next()
		if err != nil {
			return got, r.retry, err
		}
		got = append(got, readEvent{e.name, e.id, string(e.data)})
	}
}

// The examples of WHATWG HTML, 9.2.6, and what its rules say of the rest.
func TestEventReader(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   []readEvent
		retry  time.Duration
	}{
		"lines of data":                {stream: "data: YHOO\ndata: +2\ndata: 10\n\n", want: []readEvent{{"", "", "YHOO\n+2\n10"}}},
		"comment, ids":                 {stream: ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", want: []readEvent{{"", "1", "first event"}, {"", "", "second event"}, {"", "", " third event"}}},
		"data without value":           {stream: "data\n\ndata\ndata\n\ndata:", want: []readEvent{{"", "", ""}, {"", "", "\n"}}},
		"space after the colon":        {stream: "data:test\n\ndata: test\n\n", want: []readEvent{{"", "", "test"}, {"", "", "test"}}},
		"names":                        {stream: "event: add\ndata: 1\n\nevent: remove\ndata: 2\n\ndata: 3\n\n", want: []readEvent{{"add", "", "1"}, {"remove", "", "2"}, {"", "", "3"}}},
		"no data, no event":            {stream: "event: add\n\nid: 7\n\ndata: 1\n\n", want: []readEvent{{"", "7", "1"}}},
		"CRLF":                         {stream: "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", want: []readEvent{{"a", "", "1"}, {"", "", "2"}}},
		"CR":                           {stream: "event: a\rdata: 1\r\rdata: 2\r\r", want: []readEvent{{"a", "", "1"}, {"", "", "2"}}},
		"all ends of lines":            {stream: "data: 1\r\ndata: 2\rdata: 3\n\r\ndata: 4\n\r", want: []readEvent{{"", "", "1\n2\n3"}, {"", "", "4"}}},
		"id with NUL":                  {stream: "id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", want: []readEvent{{"", "1", "a"}, {"", "1", "b"}}},
		"id of an event that is cut":   {stream: "id: 1\ndata: a\n\nid: 2\ndata: b\n", want: []readEvent{{"", "1", "a"}}},
		"byte order mark":              {stream: "\uFEFFdata: 1\n\n", want: []readEvent{{"", "", "1"}}},
		"byte order mark twice":        {stream: "\uFEFF\uFEFFdata: 1\n\ndata: 2\n\n", want: []readEvent{{"", "", "2"}}},
		"byte order mark later":        {stream: "data: 1\n\n\uFEFFdata: 2\n\n", want: []readEvent{{"", "", "1"}}},
		"retry":                        {stream: "retry: 1500\n\n", retry: 1500 * time.Millisecond},
		"retry that isn't digits":      {stream: "retry: 100\nretry: +7\nretry: 1e3\nretry: -1\nretry: 0x10\nretry: 1_0\nretry:  5\nretry\n", retry: 100 * time.Millisecond},
		"retry beyond all bounds":      {stream: "retry: 99999999999999999999\n"},
		"unknown fields, other cases":  {stream: "Data: 1\ndata : 2\nfoo: bar\n\ndata: 3\n\n", want: []readEvent{{"", "", "3"}}},
		"nothing":                      {stream: ""},
		"blank lines":                  {stream: "\n\r\n\r\n\n"},
		"colons in the value":          {stream: "data: {\"a\":1}\n\n", want: []readEvent{{"", "", `{"a":1}`}}},
		"bytes that aren't UTF-8 stay": {stream: "data: \xff\n\n", want: []readEvent{{"", "", "\xff"}}},
	} {
		for way, in := range map[string]io.Reader{"whole": strings.NewReader(c.stream), "by bytes": iotest.OneByteReader(strings.NewReader(c.stream))} {
			got, retry, err := readEvents(in)
			if !reflect.DeepEqual(got, c.want) || retry != c.retry || err != io.EOF {
				t.Errorf("%s, %s: %q, retry %v, %v; want %q, retry %v, EOF", name, way, got, retry, err, c.want, c.retry)
			}
		}
	}
}

// An event that ends with CR is there before anything comes behind it.
func TestEventReaderDoesNotWaitBehindCR(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	go out.Write([]byte("data: 1\r\r"))
	r := newEventReader(in)
	if e, err := r.next(); err != nil || string(e.data) != "1" {
		t.Fatalf("%q, %v", e.data, err)
	}
	go out.Write([]byte("\ndata: 2\n\n"))
	if e, err := r.next(); err != nil || string(e.data) != "2" {
		t.Errorf("%q, %v", e.data, err)
	}
}

// endlessStream is a stream that repeats itself and counts what was read.
type endlessStream struct {
	text string
	read int
}

func (e *endlessStream) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.read += n
	return n, nil
}

func TestEventReaderLimits(t *testing.T) {
	for name, text := range map[string]string{
		"line":    "a",
		"comment": ":a",
		"event":   "data: " + strings.Repeat("a", 1000) + "\n",
		"newline": "data\n",
	} {
		in := &endlessStream{text: text}
		if _, _, err := readEvents(in); !errors.Is(err, errEventTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		if in.read > 400<<10 {
			t.Errorf("%s: %d bytes were read before the end", name, in.read)
		}
	}
	id := strings.Repeat("i", maxStreamID)
	if got, _, err := readEvents(strings.NewReader("id: " + id + "\ndata: 1\n\n")); err != io.EOF || len(got) != 1 || got[0].id != id {
		t.Errorf("the longest id: %q, %v", got, err)
	}
	if _, _, err := readEvents(strings.NewReader("id: " + id + "i\ndata: 1\n\n")); !errors.Is(err, errEventTooLarge) {
		t.Errorf("an id that is too long: %v", err)
	}
	lines := strings.Repeat("data: "+strings.Repeat("a", 1023)+"\n", maxStreamEvent>>10-1) + "data: " + strings.Repeat("a", 1022) + "\n"
	if got, _, err := readEvents(strings.NewReader(lines + "\n")); err != io.EOF || len(got) != 1 || len(got[0].data) != maxStreamEvent-2 {
		t.Errorf("the longest event: %d, %v", len(got), err)
	}
}

// Another reader of the standard finds the same events with data in the same text. (It
// also hands out events without data, and the one that the end cuts off.)
func FuzzEventReader(f *testing.F) {
	for _, s := range []string{
		"event: live\nid: 5.a\ndata: {\"serverTime\":\"2026-01-02T03:04:05Z\"}\n\n", "retry: 1000\n\n", ": c\r\rdata: 1\r\ndata:2\r\r",
		"\uFEFFid: 1\ndata: x\n\n", "id: a\x00b\ndata\ndata\n\n", "data:a\n\n\ndata:b\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 4<<10 || bytes.Count(stream, []byte("\uFEFF")) > 0 {
			return
		}
		stream = append(stream, "\n\n"...)
		got, _, err := readEvents(iotest.HalfReader(bytes.NewReader(stream)))
		if err == errEventTooLarge {
			return
		}
		if err != io.EOF {
			t.Fatal(err)
		}
		var want []readEvent
		for e, err := range sse.Read(bytes.NewReader(stream), nil) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Data != "" {
				want = append(want, readEvent{e.Type, e.LastEventID, e.Data})
			}
		}
		var data []readEvent
		for _, e := range got {
			if e.data != "" {
				data = append(data, e)
			}
		}
		if !reflect.DeepEqual(data, want) {
			t.Errorf("%s: %q, want %q", strconv.Quote(string(stream)), data, want)
		}
	})
}
