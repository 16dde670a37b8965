package wire

import (
	"bytes"
	"encoding/json"
)

// cursor splits a body into tokens. It judges nothing: encoding/json has proven that
// the body is one JSON value (checkSyntax), so all that is left to know is where a
// token ends. json.Decoder would scan and copy each token twice more, which costs more
// than the rest of a refresh request's decoding.
type cursor struct {
	body []byte
	at   int
}

// peek returns the first byte of the next token. What stands between tokens starts
// none.
func (c *cursor) peek() byte {
	for {
		switch b := c.body[c.at]; b {
		case ' ', '\t', '\r', '\n', ':', ',':
			c.at++
		default:
			return b
		}
	}
}

// enter reads the start of an object or list.
func (c *cursor) enter() {
	c.peek()
	c.at++
}

// more reports whether the object or list at hand goes on. When it doesn't, its end is
// read.
func (c *cursor) more() bool {
	if b := c.peek(); b != '}' && b != ']' {
		return true
	}
	c.at++
	return false
}

// text reads a string and returns what it says.
func (c *cursor) text() string {
	c.peek()
	start := c.at
	c.at++
	end := c.at + bytes.IndexByte(c.body[c.at:], '"')
	if plain := c.body[c.at:end]; bytes.IndexByte(plain, '\\') < 0 {
		c.at = end + 1
		return string(plain)
	}
	for c.body[c.at] != '"' {
		if c.body[c.at] == '\\' {
			c.at++
		}
		c.at++
	}
	c.at++
	var s string
	// It can't fail: a string of a proven body is a proven string.
	_ = json.Unmarshal(c.body[start:c.at], &s)
	return s
}

// literal reads a number, true, false or null, and returns it as it is written.
func (c *cursor) literal() string {
	c.peek()
	start := c.at
	for c.at < len(c.body) && bytes.IndexByte([]byte(" \t\r\n,]}"), c.body[c.at]) < 0 {
		c.at++
	}
	return string(c.body[start:c.at])
}
