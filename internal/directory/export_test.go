package directory

import "encoding/json"

// MergeAttributes is mergeAttributes for tests.
func MergeAttributes(base, patch json.RawMessage) (json.RawMessage, error) {
	var bad problems
	out := mergeAttributes(base, patch, "/attributes", &bad)
	return out, bad.refusal("refused")
}
