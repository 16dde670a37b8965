package storetest

import (
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/internal/fault"
)

// together calls do with 0 to n-1 in as many goroutines, all let go at once, and
// returns what each returned.
func together[T any](n int, do func(i int) T) []T {
	out := make([]T, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			out[i] = do(i)
		})
	}
	close(start)
	all.Wait()
	return out
}

// onlyWinner fails unless exactly one call succeeded and all others were refused with
// the kind. It returns the winner.
func onlyWinner(t *testing.T, errs []error, kind fault.Kind) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			refused(t, err, kind)
		case winner >= 0:
			t.Fatalf("%d and %d both succeeded", winner, i)
		default:
			winner = i
		}
	}
	if winner < 0 {
		t.Fatal("nobody succeeded")
	}
	return winner
}
