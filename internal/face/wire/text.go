package wire

// CheckText reports what is wrong with a text that has to be one JSON value in UTF-8,
// before DecodeRaw reads it; nil when it is one. The error is fault.Invalid.
func CheckText(text []byte) error { return checkSyntax(text) }
