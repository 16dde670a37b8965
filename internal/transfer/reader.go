package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine bounds a line, in bytes. The longest that an export writes is far below it.
const maxLine = 1 << 20

// reader reads a file line by line, in memory that doesn't grow with the file.
type reader struct {
	in   *bufio.Reader
	line int // of the last one that was read, from 1
	text bytes.Buffer
}

func newReader(in io.Reader) *reader { return &reader{in: bufio.NewReaderSize(in, 64<<10)} }

// next returns the next line that isn't blank, without its end. A line that is too long is
// skipped to its end: tooLong is true and the text a beginning of it. The text is good
// until the next call; io.EOF when there is none left.
func (r *reader) next() (text []byte, tooLong bool, err error) {
	for {
		r.line++
		r.text.Reset()
		tooLong, err = r.read()
		text = bytes.TrimSpace(r.text.Bytes())
		if len(text) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return text, tooLong, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// read reads up to the end of the line.
func (r *reader) read() (tooLong bool, err error) {
	for {
		part, err := r.in.ReadSlice('\n')
		if r.text.Len()+len(part) > maxLine {
			tooLong = true
		} else {
			r.text.Write(part)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return tooLong, err
		}
	}
}
