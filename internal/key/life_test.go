package key

import (
	"math/rand/v2"
	"testing"
	"time"
)

// world is a project that is used and watched for a long simulated time.
type world struct {
	*bench
	rand *rand.Rand
	// sets are the key sets that verifiers may still hold, oldest first.
	sets []heldSet
	// ends is when the last token of each key ends.
	ends    map[string]time.Time
	version int64
	current *Ring
	served  map[string]map[string]string
	signers map[string]bool
}

type heldSet struct {
	at  time.Time
	set map[string]map[string]string
}

// Attack 20: a verifier that read the key set at any time up to PublishAhead before a
// token was made knows the token's key; and every token's key stays in the set until
// the token has ended. Whatever operators and settings do in between, short of revoking
// and RotateNow, which say that they break the first.
func TestVerifiersNeverMeetAnUnknownKey(t *testing.T) {
	for seed := range uint64(6) {
		terms := Terms{Algorithm: ES256, Rotation: 30 * day, Longest: 28 * day}
		if seed%2 == 1 {
			terms = Terms{Algorithm: EdDSA, Rotation: 2 * day, Longest: 3 * day}
		}
		w := &world{bench: newBench(t, terms), rand: rand.New(rand.NewPCG(seed, 7)), ends: map[string]time.Time{}, signers: map[string]bool{}}
		due := w.tend()
		for w.now.Before(start.Add(300*day)) && !t.Failed() {
			w.pass(time.Duration(w.rand.Int64N(int64(3 * time.Hour))))
			w.act()
			// Servers are sometimes late, by up to three days.
			if !due.IsZero() && due.Before(w.now.Add(-time.Duration(w.rand.Int64N(int64(3*day))))) || w.rand.IntN(40) == 0 {
				due = w.tend()
			}
			w.observe()
		}
		if len(w.signers) < 8 {
			t.Errorf("seed %d: only %d keys ever signed", seed, len(w.signers))
		}
	}
}

// act does what operators do, now and then.
func (w *world) act() {
	switch w.rand.IntN(250) {
	case 0, 1, 2:
		must(w.t)(w.Rotate(w.t.Context(), w.project, operator))
	case 3:
		w.set(func(t *Terms) { t.Algorithm = []Algorithm{ES256, EdDSA}[w.rand.IntN(2)] })
	case 4:
		w.set(func(t *Terms) { t.Longest = time.Duration(1+w.rand.IntN(60)) * day })
	case 5:
		w.set(func(t *Terms) { t.Rotation = time.Duration(w.rand.IntN(40)) * day })
	}
}

// observe reads the key set, makes a token, and checks both promises.
func (w *world) observe() {
	if w.version != w.bench.version {
		w.version, w.current = w.bench.version, w.ring()
		w.served = readJWKS(w.t, w.current.JWKS())
	}
	w.sets = append(w.sets, heldSet{w.now, w.served})
	for w.sets[0].at.Before(w.now.Add(-PublishAhead)) {
		w.sets = w.sets[1:]
	}
	kid := w.current.Active().String()
	if !w.signers[kid] {
		token := mint(w.t, w.current, w.current.Active(), AccessToken, someClaims)
		for _, held := range w.sets {
			if held.set[kid] == nil || !verify(w.t, held.set[kid], token) {
				w.t.Fatalf("%v: %s signs, but the set read at %v doesn't verify it", w.now, kid, held.at)
			}
		}
		w.signers[kid] = true
	}
	if end := w.now.Add(w.terms.Longest); end.After(w.ends[kid]) {
		w.ends[kid] = end
	}
	for kid, end := range w.ends {
		if w.now.Before(end) && w.served[kid] == nil {
			w.t.Fatalf("%v: %s left the set, but a token of it lives until %v", w.now, kid, end)
		}
	}
}
