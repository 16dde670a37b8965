package site

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"sync"
)

// User is somebody who may sign in.
type User struct {
	ID    string // ours; tokens carry it in the claim "account"
	Email string
	Name  string
}

// Users is the application's own user table. Latchkey knows sessions; who may have one is
// for the application to say. A real one is in a database.
type Users struct {
	rounds  int
	mu      sync.RWMutex
	byEmail map[string]record
	byID    map[string]User
	hashing chan struct{} // one slot for each password that is hashed right now
}

type record struct {
	user User
	salt []byte
	hash []byte
}

// Rounds is how often a password is hashed: what OWASP recommends for PBKDF2 with
// SHA-256, which is in the standard library. Argon2id of golang.org/x/crypto is the better
// choice where another dependency is no matter.
const Rounds = 600_000

// NewUsers returns an empty table that hashes passwords so often; Rounds, except in tests.
func NewUsers(rounds int) *Users {
	return &Users{rounds: rounds, byEmail: map[string]record{}, byID: map[string]User{}, hashing: make(chan struct{}, 2)}
}

// Add adds a user.
func (u *Users) Add(user User, password string) error {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	hash, err := u.hash(password, salt)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	email := strings.ToLower(user.Email)
	_, sameID := u.byID[user.ID]
	_, sameEmail := u.byEmail[email]
	if sameID || sameEmail || user.ID == "" {
		return errors.New("site: a user needs an id and an address of its own")
	}
	u.byEmail[email] = record{user, salt, hash}
	u.byID[user.ID] = user
	return nil
}

// Find returns the user with an id.
func (u *Users) Find(id string) (User, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	user, ok := u.byID[id]
	return user, ok
}

// errWrongPassword is the one answer to a wrong address and to a wrong password.
var errWrongPassword = errors.New("site: wrong e-mail address or password")

// Authenticate returns the user with this address and password, or errWrongPassword.
func (u *Users) Authenticate(ctx context.Context, email, password string) (User, error) {
	// Hashing is slow on purpose. Without this bound a stranger could keep every core
	// busy with it.
	select {
	case u.hashing <- struct{}{}:
		defer func() { <-u.hashing }()
	case <-ctx.Done():
		return User{}, ctx.Err()
	}
	u.mu.RLock()
	found, ok := u.byEmail[strings.ToLower(email)]
	u.mu.RUnlock()
	if !ok {
		// Hash all the same: an answer that came faster would tell who has an account.
		found = record{salt: make([]byte, 16), hash: make([]byte, sha256.Size)}
	}
	hash, err := u.hash(password, found.salt)
	if err != nil {
		return User{}, err
	}
	if subtle.ConstantTimeCompare(hash, found.hash) != 1 || !ok {
		return User{}, errWrongPassword
	}
	return found.user, nil
}

func (u *Users) hash(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, u.rounds, sha256.Size)
}
