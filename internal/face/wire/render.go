package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxPooled is the largest buffer that is kept for the next answer: one large list
// must not make every buffer large for good.
const maxPooled = 64 << 10

type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

// encoders recycles the buffers of answers. What is in a buffer is overwritten by the
// next answer and never read.
var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.enc = json.NewEncoder(&e.buf)
	// Answers are application/json with nosniff: no browser takes them for HTML, and
	// escaping would only make URLs unreadable.
	e.enc.SetEscapeHTML(false)
	return e
}}

// JSON answers with v as JSON. Unless the handler has set Cache-Control, the answer is
// not to be stored by anyone (NoStore), so that forgetting it can't leak a token into
// a shared cache.
//
// The value is encoded before anything is written: when that fails, the error is
// returned, nothing is sent, and the handler returns the error to get a clean 500. A
// client that has gone away is no error.
func JSON(w http.ResponseWriter, status int, v any) error {
	return write(w, status, "application/json", v)
}

func write(w http.ResponseWriter, status int, mediaType string, v any) error {
	e := encoders.Get().(*encoder)
	e.buf.Reset()
	if err := e.enc.Encode(v); err != nil {
		// Not back into the pool: the encoder's state is not worth reasoning about.
		return fmt.Errorf("encoding the answer: %w", err)
	}
	h := w.Header()
	if len(h["Cache-Control"]) == 0 {
		NoStore(h)
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(e.buf.Len()))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The error of a connection that broke can be told to nobody.
	w.Write(e.buf.Bytes())
	if e.buf.Cap() <= maxPooled {
		encoders.Put(e)
	}
	return nil
}

// NoStore forbids every cache to keep the answer. An answer that carries a token, sets
// a cookie or refuses something must have it.
func NoStore(h http.Header) { h.Set("Cache-Control", "no-store") }

// Cacheable lets every cache keep the answer for age, rounded down to seconds. It is
// for what is the same for everybody, such as published keys.
func Cacheable(h http.Header, age time.Duration) {
	h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(int64(max(age, 0)/time.Second), 10))
}
