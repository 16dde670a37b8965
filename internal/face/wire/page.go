package wire

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// Page says which part of a list is asked for. A list's query struct embeds it.
type Page struct {
	Size  int    `query:"pageSize" minimum:"1" maximum:"200" default:"50" description:"How many entries to return at most."`
	Token string `query:"pageToken" description:"The nextPageToken of the answer before; leave out for the first page."`
}

// Cursor returns the cursor in the page's token, nil for the first page.
func (p Page) Cursor() ([]byte, error) { return DecodePage(p.Token) }

const (
	pageVersion = 1
	maxPage     = 1 << 10 // characters of a page token
)

// EncodePage returns the page token for a cursor, "" for an empty one: no further page.
// A token is opaque to clients but neither secret nor signed. It grants nothing: a
// cursor says where in an already permitted and filtered list to go on, and whoever
// reads it treats it as any other input. A cursor has at most 700 bytes.
func EncodePage(cursor []byte) string {
	if len(cursor) == 0 {
		return ""
	}
	b := append([]byte{pageVersion}, cursor...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// DecodePage returns the cursor of a page token, nil for "". What EncodePage didn't
// make, or was cut or mistyped since, is fault.Invalid: paging from a wrong place
// would lose entries in silence.
func DecodePage(token string) ([]byte, error) {
	if token == "" {
		return nil, nil
	}
	const overhead = 1 + crc32.Size
	if len(token) <= maxPage {
		b, err := base64.RawURLEncoding.Strict().DecodeString(token)
		if err == nil && len(b) > overhead && b[0] == pageVersion && EncodePage(b[1:len(b)-crc32.Size]) == token {
			return b[1 : len(b)-crc32.Size], nil
		}
	}
	return nil, fault.New(fault.Invalid, "The page token isn't one that this list returned.").
		WithFields(issue{"format", "use the nextPageToken of the previous answer as it is"}.field("?pageToken"))
}
