package latchkey

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// Limits of what a stream may send. An entry of the feed has about 300 bytes, a cursor
// about 30.
const (
	maxStreamLine  = 16 << 10
	maxStreamEvent = 64 << 10
	maxStreamID    = 256
)

// errEventTooLarge means that a stream sent more than any event of the feed has. What
// comes behind it can't be used either: skipping an event might skip a revocation.
var errEventTooLarge = errors.New("the stream sent a line, an event or an id that is too long")

// streamEvent is one Server-Sent Event.
type streamEvent struct {
	name string // "message" isn't filled in when the stream doesn't name it
	id   string // the last id that the stream has sent, with this event or before it
	data []byte // valid until the next call of next
}

// eventReader reads Server-Sent Events (WHATWG HTML, 9.2.5 and 9.2.6). It keeps at most
// a line and an event. Bytes that aren't UTF-8 are handed on as they are: the JSON
// decoder, which reads all data of the feed, replaces them as the standard asks.
type eventReader struct {
	in     *bufio.Reader
	begun  bool // the first line was read
	afterC bool // the line ended with CR: an LF that follows belongs to it
	line   []byte
	data   []byte
	name   string
	id     string
	retry  time.Duration // as the stream asked for; 0 when it didn't
}

func newEventReader(in io.Reader) *eventReader {
	return &eventReader{in: bufio.NewReaderSize(in, 4<<10)}
}

// next returns the next event. An event that the stream's end cuts off isn't one: then,
// and at the end, the error is that of the reader, such as io.EOF.
func (r *eventReader) next() (streamEvent, error) {
	r.data, r.name = r.data[:0], ""
	for {
		line, err := r.readLine()
		if err != nil {
			return streamEvent{}, err
		}
		if len(line) > 0 {
			if err := r.field(line); err != nil {
				return streamEvent{}, err
			}
			continue
		}
		if len(r.data) == 0 {
			r.name = ""
			continue
		}
		return streamEvent{name: r.name, id: r.id, data: r.data[:len(r.data)-1]}, nil
	}
}

// field takes in one line that isn't empty.
func (r *eventReader) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) { // a comment's name is empty
	case "event":
		r.name = string(value)
	case "data":
		if len(r.data)+len(value) >= maxStreamEvent {
			return errEventTooLarge
		}
		r.data = append(append(r.data, value...), '\n')
	case "id":
		if len(value) > maxStreamID {
			return errEventTooLarge
		}
		if bytes.IndexByte(value, 0) < 0 {
			r.id = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil { // takes digits only, and no sign
			r.retry = time.Duration(ms) * time.Millisecond
		}
	}
	return nil
}

// readLine returns the next line without its end, which is LF, CR or CRLF. It doesn't
// wait for what comes behind a CR: that may be an LF, but it may also be minutes away.
func (r *eventReader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		if _, err := r.in.Peek(1); err != nil {
			return nil, err
		}
		got, _ := r.in.Peek(r.in.Buffered())
		if r.afterC {
			r.afterC = false
			if got[0] == '\n' {
				r.in.Discard(1)
				continue
			}
		}
		end := bytes.IndexAny(got, "\r\n")
		size := end
		if end < 0 {
			size = len(got)
		}
		if len(r.line)+size > maxStreamLine {
			return nil, errEventTooLarge
		}
		r.line = append(r.line, got[:size]...)
		if end < 0 {
			r.in.Discard(size)
			continue
		}
		r.afterC = got[end] == '\r'
		r.in.Discard(size + 1)
		if !r.begun {
			r.begun = true
			return bytes.TrimPrefix(r.line, []byte("\uFEFF")), nil
		}
		return r.line, nil
	}
}
