package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// readyFile is what --ready-file holds once the server serves.
type readyFile struct {
	URL           string `json:"url"`
	Issuer        string `json:"issuer,omitempty"`
	Project       string `json:"project,omitempty"`
	ManagementKey string `json:"managementKey,omitempty"`
	VerifyKey     string `json:"verifyKey,omitempty"`
	User          string `json:"user,omitempty"`
	Tenant        string `json:"tenant,omitempty"`

	userID string // for the screen
}

// writeReady writes the file whole or not at all, readable by its owner only: it holds
// keys.
func writeReady(path string, r readyFile) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// A draft of a fresh name: one that somebody else made would keep the rights they
	// gave it.
	draft, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return err
	}
	_, err = draft.Write(append(b, '\n'))
	if err = errors.Join(err, draft.Close()); err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err != nil {
		os.Remove(draft.Name())
	}
	return err
}
