package main

import (
	"encoding/json"
	"os"
)

// readyFile is what --ready-file holds once the server serves.
type readyFile struct {
	URL           string `json:"url"`
	Issuer        string `json:"issuer,omitempty"`
	Project       string `json:"project,omitempty"`
	ManagementKey string `json:"managementKey,omitempty"`
	VerifyKey     string `json:"verifyKey,omitempty"`
	User          string `json:"user,omitempty"`
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
	draft := path + ".part"
	if err := os.WriteFile(draft, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
