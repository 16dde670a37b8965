package token

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
)

func TestMinted(t *testing.T) {
	var m minted
	if m.has("") || m.has("a") {
		t.Error("an empty table knows a token")
	}
	m.add("a")
	if !m.has("a") || m.has("b") || m.has("a ") || m.has("") {
		t.Error("it knows other tokens than the one that was added")
	}
	// Far more than it has room for: it forgets, and never takes one for another.
	const many = 2 * mintedShards * mintedSlots
	known := 0
	var all sync.WaitGroup
	for part := range 4 {
		all.Go(func() {
			for i := part; i < many; i += 4 {
				m.add("token " + strconv.Itoa(i))
			}
		})
	}
	all.Wait()
	for i := range many {
		if m.has("token " + strconv.Itoa(i)) {
			known++
		}
		if i%8 == 0 && m.has("other "+strconv.Itoa(i)) {
			t.Fatalf("it knows a token that was never added: %d", i)
		}
	}
	if slots := mintedShards * mintedSlots; known > slots || known < slots*3/4 {
		t.Errorf("it knows %d of %d tokens in %d slots", known, many, slots)
	}
}

func BenchmarkMinted(b *testing.B) {
	var m minted
	token := fmt.Sprintf("%900d", 1)
	for b.Loop() {
		m.add(token)
		if !m.has(token) {
			b.Fatal("forgotten")
		}
	}
}
