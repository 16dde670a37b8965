package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/directory"
	"github.com/latchkey-dev/latchkey/internal/id"
	"github.com/latchkey-dev/latchkey/internal/observe"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/store"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// demoUser is the login id of the user that dev makes.
const demoUser = "alice@example.com"

func devCommand(t *terminal) *cobra.Command {
	var addr, data, ready string
	c := &cobra.Command{
		Use: "dev", Short: "Try it: everything on, with a demo project and commands to copy",
		Long: "Serves on this machine with a SQLite store and a demo project, and prints commands to copy. Without --data everything is in a temporary folder and gone afterwards. Not for production: latchkey serve is.",
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			return t.dev(c.Context(), addr, data, ready)
		},
	}
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "host and port; port 0 picks a free one")
	c.Flags().StringVar(&data, "data", "", "folder to keep everything in; a temporary one when left out")
	c.Flags().StringVar(&ready, "ready-file", "", "file to write address and keys into, as JSON, once it serves")
	return c
}

func (t *terminal) dev(ctx context.Context, addr, data, ready string) error {
	dir, remove, err := devFolder(data)
	if err != nil {
		return err
	}
	defer remove()
	cfg := config.Defaults()
	// Receivers of webhooks are being written on this machine, too.
	cfg.WebhookNetworks = webhook.Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	cfg.Addr, cfg.PublicURL, cfg.ReadyFile = addr, "", ready
	cfg.Store = secret.New(dataStore(dir))
	if cfg.Master, err = devMaster(dir); err != nil {
		return err
	}
	if _, _, err := store.Migrate(ctx, cfg.Store.Reveal(), func(string) {}); err != nil {
		return err
	}
	log := observe.Logger(t.err, config.LogText, slog.LevelInfo)
	if !loopback(addr) {
		log.Warn("this address may be reachable by others, without TLS and with keys on the screen: latchkey dev is for your own machine", "addr", addr)
	}
	return t.serve(ctx, cfg, log, func(ctx context.Context, app *server.App, url string) error {
		demo, err := furnish(ctx, app, url)
		if err != nil {
			return err
		}
		if err := writeReady(ready, demo); err != nil {
			return err
		}
		return t.show(demo, func() { t.welcome(demo, dir, data == "") })
	})
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip, notIP := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || notIP == nil && ip.IsLoopback())
}

// devFolder returns the folder of everything, and what removes it when it is temporary.
func devFolder(data string) (dir string, remove func(), err error) {
	if data == "" {
		dir, err = os.MkdirTemp("", "latchkey-dev-")
		return dir, func() { os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(data); err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	return dir, func() {}, err
}

// devMaster reads the folder's master key, or makes one.
func devMaster(dir string) (*secret.Ring, error) {
	text, err := os.ReadFile(dataMaster(dir))
	if os.IsNotExist(err) {
		text = []byte(secret.NewMasterKey().Reveal() + "\n")
		err = os.WriteFile(dataMaster(dir), text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	ring, err := secret.ParseRing(secret.New(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dataMaster(dir), err)
	}
	return ring, nil
}

// furnish makes the demo project and user, unless an earlier run has, and keys for this
// run: the secrets of earlier ones aren't kept anywhere.
func furnish(ctx context.Context, app *server.App, url string) (readyFile, error) {
	projects, err := app.Directory.Projects(ctx, id.Project{}, 1)
	if err != nil {
		return readyFile{}, err
	}
	var p directory.Project
	if len(projects) > 0 {
		p = projects[0]
	} else if p, err = app.CreateProject(ctx, "Demo", byCLI); err != nil {
		return readyFile{}, err
	}
	tenant, fresh, err := furnishTenant(ctx, app, p.ID)
	if err != nil {
		return readyFile{}, err
	}
	alice, err := furnishUser(ctx, app, p.ID, tenant, fresh)
	if err != nil {
		return readyFile{}, err
	}
	out := readyFile{URL: url, Issuer: app.Tokens.Issuer(p.ID), Project: p.ID.String(), User: demoUser, Tenant: tenant.String(), userID: alice.ID.String()}
	if out.ManagementKey, err = devKey(ctx, app, p.ID, secret.Management); err != nil {
		return readyFile{}, err
	}
	out.VerifyKey, err = devKey(ctx, app, p.ID, secret.Verify)
	return out, err
}

// devKey makes the key of this run, and removes that of the run before.
func devKey(ctx context.Context, app *server.App, p id.Project, kind secret.KeyKind) (string, error) {
	const name = "latchkey dev"
	old, err := app.Directory.Keys(ctx, p, id.ManagementKey{}, 100)
	if err != nil {
		return "", err
	}
	for _, k := range old {
		if k.Name == name && k.Kind == kind {
			if err := app.Directory.DeleteKey(ctx, p, k.ID, directory.ManagementKey{}, byCLI); err != nil {
				return "", err
			}
		}
	}
	_, clear, err := app.Directory.CreateKey(ctx, p, directory.NewKey{Name: name, Kind: kind}, directory.ManagementKey{}, byCLI)
	return clear.Reveal(), err
}

const screen = `
Latchkey serves at URL   (Ctrl-C stops it)

Paste this into another terminal:

  export ISSUER=ISSUER_VALUE
  export API=API_VALUE
  export KEY=KEY_VALUE

1. Sign the demo user in, as your application would after checking a password:

  curl -s $API/sessions -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    -d '{"user":"USER","amr":["pwd"]}' | tee session.json

2. Take the tokens out, and ask what they stand for:

  SESSION=$(sed 's/.*"sessionToken":"\([^"]*\)".*/\1/' session.json)
  REFRESH=$(sed 's/.*"refreshToken":"\([^"]*\)".*/\1/' session.json)
  curl -s $ISSUER/session -H "Authorization: Bearer $SESSION"

3. Refresh. Repeat it: the same refresh token comes back, for 20 seconds:

  curl -s -X POST $ISSUER/session/refresh -H "Authorization: Bearer $REFRESH"

4. See every decision about the session, and why:

  SID=$(sed 's/.*"session":{"id":"\([^"]*\)".*/\1/' session.json)
  curl -s $API/sessions/$SID/trace -H "Authorization: Bearer $KEY"

5. Make the user a plain member of the demo tenant, and look at the next token:

  curl -s -X PUT $API/users/ALICE/tenants/TENANT -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"roles":["member"]}' -o member.json
  curl -s $ISSUER/session -H "Authorization: Bearer $(curl -s -X POST $ISSUER/session/refresh -H "Authorization: Bearer $REFRESH" | sed 's/.*"sessionToken":"\([^"]*\)".*/\1/')"

Keys for any JWT library: ISSUER_VALUE/.well-known/jwks.json
The whole API:            URL/docs
A web app on top of it:   LATCHKEY_ISSUER=$ISSUER LATCHKEY_KEY=$KEY go run ./examples/webapp
`

func (t *terminal) welcome(r readyFile, dir string, temporary bool) {
	text := strings.NewReplacer(
		"ISSUER_VALUE", r.Issuer, "API_VALUE", r.URL+"/v1/projects/"+r.Project, "KEY_VALUE", r.ManagementKey,
		"USER", r.User, "ALICE", r.userID, "TENANT", r.Tenant, "URL", r.URL).Replace(screen)
	t.printf("%s", text)
	t.printf("The data is in %s; latchkey session list --data %s shows the sessions.\n", dir, dir)
	if temporary {
		t.printf("This folder is temporary and gone afterwards; --data DIR keeps everything in one of yours.\n")
	}
	t.printf("\n")
}
