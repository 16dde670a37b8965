package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// Setting describes one setting, for help and documentation.
type Setting struct {
	Name     string // of the flag, without dashes, and of the key in the file
	Env      string // of the variable
	Group    string // settings of one purpose
	Kind     string // what the value is, in a word: "address", "duration"
	Default  string // "" when there is none
	Help     string // starts in lower case, ends without a full stop
	Flag     bool   // there is a flag
	File     bool   // the file may hold it
	Required bool   // a server doesn't start without it
}

// setting is a Setting with what is done with its value. With store it also belongs to
// the commands that open a store by themselves.
type setting struct {
	Setting
	store bool
	list  bool // the file may give several values
	apply func(l *loader, value string) error
}

// Settings describes all settings, in the order in which they are best read.
func Settings() []Setting {
	var all []Setting
	for _, s := range settings() {
		all = append(all, s.Setting)
	}
	return all
}

const (
	groupServe = "Serving"
	groupData  = "Data and keys"
	groupLimit = "Limits and retention"
	groupLog   = "Logs"
	groupStop  = "Start and stop"
)

// settings is a function because a table in a variable could be changed by anybody.
func settings() []setting {
	all := []setting{
		fileSetting(),
		{Setting: Setting{Name: "addr", Kind: "address", Default: "127.0.0.1:8080", Group: groupServe, Flag: true, File: true,
			Help: "host and port to listen on, with HTTP; port 0 picks a free one"},
			apply: (*loader).addr},
		{Setting: Setting{Name: "public-url", Kind: "URL", Group: groupServe, Flag: true, File: true,
			Help: "the address under which clients reach the server, the first part of every issuer; by default http:// and the address, if that is a loopback one, and required otherwise"},
			apply: (*loader).url},
		{Setting: Setting{Name: "trusted-proxies", Kind: "networks", Group: groupServe, Flag: true, File: true,
			Help: "networks such as 10.0.0.0/8 of the proxies whose X-Forwarded-For is believed, separated by commas"},
			list: true, apply: (*loader).proxies},
		{Setting: Setting{Name: "webhook-networks", Kind: "networks", Group: groupServe, Flag: true, File: true,
			Help: "networks such as 10.0.0.0/8 that webhooks may reach although they are not public, also with http, separated by commas; name none that strangers must not reach through the server"},
			list: true, apply: (*loader).webhookNetworks},
	}
	all = append(all, dataSettings()...)
	all = append(all, limitSettings()...)
	all = append(all, logSettings()...)
	all = append(all, stopSettings()...)
	for i, s := range all {
		all[i].Env = variable(s.Name)
	}
	return all
}

func variable(name string) string {
	return "LATCHKEY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fileSetting names the file. It is read before all others.
func fileSetting() setting {
	return setting{Setting: Setting{Name: "config", Env: variable("config"), Kind: "file", Group: groupServe, Flag: true,
		Help: "a TOML file with settings; flags and variables go before what it says"},
		store: true, apply: func(*loader, string) error { return nil }}
}

func dataSettings() []setting {
	return []setting{
		{Setting: Setting{Name: "store", Kind: "store", Group: groupData, Flag: true, File: true, Required: true,
			Help: "where the data is: sqlite:///path/of/file.db"},
			store: true, apply: (*loader).store},
		{Setting: Setting{Name: "master-key-file", Kind: "file", Group: groupData, Flag: true, File: true, Required: true,
			Help: "a file with the keys that encrypt the signing keys at rest, one a line, the newest first: 32 bytes in base64 or hexadecimal; other users of the machine must not be able to read it"},
			store: true, apply: (*loader).masterKeyFile},
		{Setting: Setting{Name: "master-key", Kind: "key", Group: groupData,
			Help: "the keys themselves, in place of the file; as a variable only, since command lines are seen by every user and files get copied"},
			store: true, apply: (*loader).masterKey},
	}
}

func limitSettings() []setting {
	return []setting{
		{Setting: Setting{Name: "network-limit", Kind: "number", Default: "6000", Group: groupLimit, Flag: true, File: true,
			Help: "end-user requests that one network (a /24 of IPv4, a /48 of IPv6) may send in a minute; 0 is no limit"},
			apply: (*loader).networkLimit},
		{Setting: Setting{Name: "feed-subscribers", Kind: "number", Default: "10000", Group: groupLimit, Flag: true, File: true,
			Help: "verifiers that may follow the revocation feed at the same time; each holds a connection"},
			apply: (*loader).feedSubscribers},
		{Setting: Setting{Name: "keep-ended", Kind: "duration", Default: "30d", Group: groupLimit, Flag: true, File: true,
			Help: "how long ended and expired sessions stay visible; 1h to 3650d"},
			apply: (*loader).keepEnded},
		{Setting: Setting{Name: "keep-events", Kind: "duration", Default: "90d", Group: groupLimit, Flag: true, File: true,
			Help: "how long audit events stay; 1h to 3650d"},
			apply: (*loader).keepEvents},
	}
}

func logSettings() []setting {
	return []setting{
		{Setting: Setting{Name: "log-format", Kind: "format", Default: "auto", Group: groupLog, Flag: true, File: true,
			Help: "text, json, or auto: text on a terminal and JSON elsewhere"},
			apply: (*loader).logFormat},
		{Setting: Setting{Name: "log-level", Kind: "level", Default: "info", Group: groupLog, Flag: true, File: true,
			Help: "the least level that is logged: debug, info, warn or error"},
			apply: (*loader).logLevel},
	}
}

func stopSettings() []setting {
	return []setting{
		{Setting: Setting{Name: "ready-file", Kind: "file", Group: groupStop, Flag: true, File: true,
			Help: "a file that is written once the server serves, with its addresses as JSON"},
			apply: (*loader).readyFile},
		{Setting: Setting{Name: "shutdown-delay", Kind: "duration", Default: "0s", Group: groupStop, Flag: true, File: true,
			Help: "how long, after SIGTERM, /readyz fails while everything is still served, so that load balancers notice; 0s to 5m"},
			apply: (*loader).shutdownDelay},
		{Setting: Setting{Name: "drain-timeout", Kind: "duration", Default: "20s", Group: groupStop, Flag: true, File: true,
			Help: "how long requests in flight are given to end after that; 1s to 10m"},
			apply: (*loader).drainTimeout},
	}
}

// Flags adds the flags of a server to fs.
func Flags(fs *pflag.FlagSet) { addFlags(fs, func(setting) bool { return true }) }

// StoreFlags adds the flags of a command that opens the store by itself: where the store
// and the master key are.
func StoreFlags(fs *pflag.FlagSet) { addFlags(fs, func(s setting) bool { return s.store }) }

func addFlags(fs *pflag.FlagSet, wanted func(setting) bool) {
	for _, s := range settings() {
		if s.Flag && wanted(s) {
			fs.Var(&text{s.Default, s.Kind}, s.Name, s.Help+" ["+s.Env+"]")
		}
	}
}

// text is the value of every flag. Parsing is left to Load, so that a wrong flag is
// reported together with all else that is wrong.
type text struct{ value, kind string }

// String returns the value.
func (t *text) String() string { return t.value }

// Set keeps the value.
func (t *text) Set(value string) error {
	t.value = value
	return nil
}

// Type is the word for the value in a command's help.
func (t *text) Type() string { return t.kind }
