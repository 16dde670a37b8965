// Package config owns the configuration of a server and of the commands that open a
// store by themselves: which settings there are, what each may be, and that a flag, a
// LATCHKEY_ variable and a key in the configuration file say the same thing. A
// configuration is checked whole, and everything that is wrong with it is reported at
// once.
//
// It doesn't own the settings of a project, which live in the store, and it doesn't act
// on what it reads: it opens no socket and no store.
package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogAuto LogFormat = "auto" // text on a terminal, JSON elsewhere
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Config is a checked configuration. It may be printed: what is secret in it redacts
// itself.
type Config struct {
	Addr      string // host:port to listen on; port 0 picks a free one
	PublicURL string // without a slash at the end; "" only when Addr has port 0: see URL

	// Store is where the data is: "sqlite:///path". It is a secret because the address
	// of a database may hold a password.
	Store  secret.Text
	Master *secret.Ring // nil when no master key was given, which Load accepts of store commands only

	TrustedProxies wire.Proxies
	NetworkLimit   int // end-user requests from one network in a minute; 0: no limit

	FeedSubscribers int // of the revocation feed, at the same time

	WebhookNetworks webhook.Networks // that webhooks may reach although they aren't public

	LogFormat LogFormat
	LogLevel  slog.Level

	KeepEnded  time.Duration // how long ended sessions stay visible
	KeepEvents time.Duration // how long audit events stay

	ReadyFile     string        // written once the server serves; "": none
	ShutdownDelay time.Duration // from SIGTERM, with /readyz failing, to the drain
	DrainTimeout  time.Duration // what requests in flight are given to end

	// Warnings are sentences about settings that are allowed and probably a mistake.
	Warnings []string
}

// ErrNoMasterKey is returned where a master key is needed and none was given.
var ErrNoMasterKey = errors.New("no master key: set --master-key-file, LATCHKEY_MASTER_KEY_FILE, master-key-file in the file, or LATCHKEY_MASTER_KEY")

// MasterRing returns the master keys, or ErrNoMasterKey.
func (c Config) MasterRing() (*secret.Ring, error) {
	if c.Master == nil {
		return nil, ErrNoMasterKey
	}
	return c.Master, nil
}

// URL returns the public URL of a server that listens on bound: the configured one, or,
// when the port was picked by the system, the loopback host of Addr with that port.
func (c Config) URL(bound net.Addr) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	host, _, err := net.SplitHostPort(c.Addr)
	_, port, berr := net.SplitHostPort(bound.String())
	if err != nil || berr != nil {
		return "http://" + bound.String()
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Defaults returns the configuration in which nothing was set. It lacks what has no
// default: the store and the master key.
func Defaults() Config {
	l := loader{}
	for _, s := range settings() {
		if s.Default != "" {
			l.take(s, s.Default, s.Name)
		}
	}
	l.publicURL()
	return l.config
}

// Open opens a file for reading, as os.Open does.
type Open func(name string) (fs.File, error)

// Problem is one thing that is wrong. It never holds a secret.
type Problem struct {
	Setting string // as it was given: "--addr", "LATCHKEY_ADDR", "addr in latchkey.toml"
	Detail  string // a sentence for people that follows the setting's name
}

// Problems is all that is wrong with a configuration.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	var b strings.Builder
	b.WriteString("the configuration has problems:")
	for _, q := range p {
		b.WriteString("\n  " + q.Setting + " " + q.Detail)
	}
	return b.String()
}
