package latchkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	stateVersion  = 1
	stateInterval = time.Second // between two looks at whether something has changed

	// maxState bounds the bytes of a file. The largest state of a feed fits, in base64: one
	// that is refused when it is needed most would make revoked tokens good again.
	maxState = maxFeedState/3*4 + 8<<20
)

// verifierState is what StateFile holds. It has nothing secret, but whoever can write it decides
// which keys are trusted.
type verifierState struct {
	Version   int       `json:"version"`
	Issuer    string    `json:"issuer"`
	Keys      []byte    `json:"keys,omitempty"` // the JWKS, byte for byte
	Tag       string    `json:"tag,omitempty"`
	FetchedAt time.Time `json:"fetchedAt,omitzero"`
	Feed      []byte    `json:"feed,omitempty"`
}

// loadState takes over what an earlier process knew. A file that can't be read costs a
// fetch and a snapshot of the feed, so it is no reason not to start. One of another
// issuer is: two verifiers would overwrite each other's.
func (v *Verifier) loadState() error {
	if v.stateFile == "" {
		return nil
	}
	s, err := readState(v.stateFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		v.log.Warn("latchkey: the state file is ignored", "file", v.stateFile, "error", err)
		return nil
	case s.Issuer != v.issuer:
		return fmt.Errorf("StateFile: %s belongs to another issuer", v.stateFile)
	}
	if len(s.Keys) > 0 {
		if err := v.keys.restore(s.Keys, s.Tag, s.FetchedAt); err != nil {
			v.log.Warn("latchkey: the keys of the state file are ignored", "file", v.stateFile, "error", err)
		}
	}
	if v.feed != nil && len(s.Feed) > 0 {
		if err := v.feed.restore(s.Feed); err != nil {
			v.log.Warn("latchkey: the revocations of the state file are ignored", "file", v.stateFile, "error", err)
		}
	}
	return nil
}

func readState(file string) (verifierState, error) {
	// To open a pipe would wait for somebody who writes to it.
	if info, err := os.Stat(file); err != nil {
		return verifierState{}, err
	} else if !info.Mode().IsRegular() {
		return verifierState{}, errors.New("it isn't a plain file")
	}
	f, err := os.Open(file)
	if err != nil {
		return verifierState{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return verifierState{}, err
	}
	if !ownFile(info) {
		return verifierState{}, errors.New("it belongs to another user")
	}
	// Windows has other means, which these bits don't show.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return verifierState{}, errors.New("others than its owner may write it")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return verifierState{}, err
	}
	var s verifierState
	if err := json.Unmarshal(b, &s); err != nil || len(b) > maxState || s.Version != stateVersion {
		return verifierState{}, errors.New("it isn't a state file, or one of another version")
	}
	return s, nil
}

// keepState writes the file when something has changed, until ctx ends.
func (v *Verifier) keepState(ctx context.Context) {
	// Nothing is known to be in the file yet, whatever was loaded from it.
	var ring *keyring
	var version uint64
	tick := time.NewTicker(stateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		newRing, newVersion := v.keys.ring.Load(), v.feedVersion()
		if newRing == ring && newVersion == version {
			continue
		}
		if v.saveState() {
			ring, version = newRing, newVersion
		}
	}
}

func (v *Verifier) feedVersion() uint64 {
	if v.feed == nil {
		return 0
	}
	return v.feed.version()
}

// saveState writes the file, and reports whether it has. Without keys there is nothing
// worth keeping.
func (v *Verifier) saveState() bool {
	if v.stateFile == "" {
		return false
	}
	s := verifierState{Version: stateVersion, Issuer: v.issuer}
	if s.Keys, s.Tag, s.FetchedAt = v.keys.snapshot(); len(s.Keys) == 0 {
		return false
	}
	if v.feed != nil {
		s.Feed = v.feed.export()
	}
	b, err := json.Marshal(s)
	if err == nil {
		err = replaceFile(v.stateFile, b)
	}
	if err != nil {
		v.log.Warn("latchkey: the state file can't be written", "file", v.stateFile, "error", err)
	}
	return err == nil
}

// replaceFile writes a file so that whoever reads it, also after a crash, finds either
// the old content or the new one.
func replaceFile(file string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(content))
	err = errors.Join(err, f.Sync())
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
