//go:build !unix

package sqlite

import "time"

// cpu returns 0: this system has no such count.
func cpu() time.Duration { return 0 }
