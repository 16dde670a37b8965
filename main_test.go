package latchkey

import (
	"log/slog"
	"os"
	"testing"
)

// What the tests provoke is no news to who reads their output.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
