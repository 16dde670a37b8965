package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/audit"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/key"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/store/memory"
)

// ceilingCommand serves what no refresh can be faster than: the same request and
// answer with the same signatures, but no store and no decision. bench starts it as a
// process of its own, like the real server.
func ceilingCommand(t *terminal) *cobra.Command {
	var ready string
	var signatures int
	c := &cobra.Command{
		Use: "ceiling", Hidden: true, Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := ceilingHandler(signatures)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			if err := writeReady(ready, readyFile{URL: "http://" + l.Addr().String()}); err != nil {
				return err
			}
			srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
			go func() { <-c.Context().Done(); srv.Close() }()
			if err := srv.Serve(l); err != http.ErrServerClosed {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&ready, "ready-file", "", "")
	c.Flags().IntVar(&signatures, "signatures", 2, "")
	return c
}

func ceilingHandler(signatures int) (http.Handler, error) {
	ring, err := ceilingRing()
	if err != nil {
		return nil, err
	}
	// As many bytes as the claims of a session token.
	claims := []byte(`{"filler":"` + strings.Repeat("x", 560) + `"}`)
	sid := id.NewSession(time.Now()).String()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		var in struct{ RefreshToken string }
		if err != nil || json.Unmarshal(body, &in) != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		now := time.Now().UTC()
		set := latchkey.TokenSet{RefreshToken: in.RefreshToken, SessionExpiresAt: now, RefreshExpiresAt: now, ServerTime: now,
			Session: latchkey.Session{ID: sid, User: sid, State: "active", CreatedAt: now, AuthTime: now, LastSeenAt: now, ExpiresAt: now, AMR: []string{"pwd"}}}
		for range signatures {
			if set.SessionToken, err = ring.Mint(ring.Active(), key.AccessToken, claims); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		answer, _ := json.Marshal(set)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		w.Write(answer)
	}), nil
}

// ceilingRing is a ring with one ES256 key.
func ceilingRing() (*key.Ring, error) {
	master, err := secret.ParseRing(secret.NewMasterKey())
	if err != nil {
		return nil, err
	}
	terms := key.Terms{Algorithm: key.ES256, Longest: time.Hour}
	keys, err := key.New(key.Deps{
		Store: memory.Open(time.Now).Keys(), Master: master, Now: time.Now,
		Terms: func(context.Context, id.Project) (key.Terms, error) { return terms, nil },
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	change, err := keys.First(id.NewProject(now), terms, now, audit.Origin{})
	if err != nil {
		return nil, err
	}
	return key.OpenRing(master, change.Insert)
}
