package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/internal/face/wire"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/webhook"
)

// quoted shows what was given, or the start of it: enough to recognise it by, too little
// of a key that was put in the wrong place.
func quoted(value string) string { return fmt.Sprintf("%.20q", value) }

func (l *loader) addr(value string) error {
	bad := fmt.Errorf("is %s, not a host and a port such as 127.0.0.1:8080", quoted(value))
	host, port, err := net.SplitHostPort(value)
	if err != nil || host != "" && !isHost(host) {
		return bad
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 || strconv.Itoa(n) != port {
		return bad
	}
	l.config.Addr = value
	return nil
}

func (l *loader) proxies(value string) error {
	networks, err := networkList(value)
	if err != nil || len(networks) == 0 {
		return err
	}
	proxies, err := wire.ParseProxies(networks)
	if err != nil {
		return errors.New("has " + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	l.config.TrustedProxies = proxies
	return nil
}

// networkList splits a list. What can't be a network isn't shown.
func networkList(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	networks := strings.Split(value, ",")
	for i, n := range networks {
		if n = strings.TrimSpace(n); len(n) > len("0000:0000:0000:0000:0000:0000:0000:0000/128") || strings.Trim(n, "0123456789abcdefABCDEF:./") != "" {
			return nil, fmt.Errorf("is wrong: entry %d is not an address or a network such as 10.0.0.0/8; entries are separated by commas", i+1)
		}
		networks[i] = n
	}
	return networks, nil
}

func (l *loader) webhookNetworks(value string) error {
	networks, err := networkList(value)
	if err != nil {
		return err
	}
	var all webhook.Networks
	for i, n := range networks {
		if !strings.Contains(n, "/") {
			n += "/128"
			if !strings.Contains(n, ":") {
				n = strings.TrimSuffix(n, "128") + "32"
			}
		}
		p, err := netip.ParsePrefix(n)
		if err != nil || p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Errorf("is wrong: entry %d is not an address or a network such as 10.0.0.0/8", i+1)
		}
		all = append(all, p)
	}
	l.config.WebhookNetworks = all
	return nil
}

const scheme = "sqlite://"

// store checks what can be known without opening it. A relative path is refused, for
// what comes behind the two slashes of a URL is a host.
func (l *loader) store(value string) error {
	path, ok := strings.CutPrefix(value, scheme)
	switch {
	case value == "":
		return errors.New("is empty; it wants a store such as sqlite:///var/lib/latchkey/latchkey.db")
	case !ok:
		return errors.New("is no store that is known here; sqlite:///path is")
	case !strings.HasPrefix(path, "/"):
		return errors.New("wants three slashes and an absolute path: sqlite:///path")
	case strings.HasSuffix(path, "/"):
		return errors.New("names a folder, not a file")
	case strings.ContainsAny(path, "?#\x00"):
		return errors.New("wants a path and nothing behind it: there are no options")
	}
	l.config.Store = secret.New(value)
	return nil
}

// masterLimit is the greatest size of master keys in bytes: some hundreds of keys.
const masterLimit = 64 << 10

func (l *loader) masterKeyFile(value string) error {
	if _, err := secret.ParseRing(secret.New(value)); err == nil {
		return errors.New("is a key itself; it wants the path of a file with the key in it. Replace the key: command lines and logs may hold it now")
	}
	if value == "" {
		return errors.New("is empty; it wants the path of a file")
	}
	content, mode, err := l.read(value, masterLimit)
	if err != nil {
		return err
	}
	// Windows has no such mode bits: there it is the access list that protects.
	if mode.Perm()&0o007 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("can be read or changed by every user of this machine (its mode is %04o); take that right away, as with chmod 600", mode.Perm())
	}
	return l.ring(string(content))
}

func (l *loader) masterKey(value string) error { return l.ring(value) }

func (l *loader) ring(text string) error {
	ring, err := secret.ParseRing(secret.New(text))
	if err != nil {
		return fmt.Errorf("can't be used: %w", err)
	}
	l.config.Master = ring
	return nil
}

func (l *loader) networkLimit(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxNetworkLimit {
		return fmt.Errorf("is %s; it must be a whole number from 0 to %d", quoted(value), maxNetworkLimit)
	}
	l.config.NetworkLimit = n
	return nil
}

const maxNetworkLimit = 10_000_000

// feedSubscribers: 0 isn't "none", since verifiers without the feed don't learn of
// revocations.
func (l *loader) feedSubscribers(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxFeedSubscribers {
		return fmt.Errorf("is %s; it must be a whole number from 1 to %d", quoted(value), maxFeedSubscribers)
	}
	l.config.FeedSubscribers = n
	return nil
}

const maxFeedSubscribers = 1_000_000

func (l *loader) keepEnded(value string) error {
	return duration(&l.config.KeepEnded, value, time.Hour, 3650*24*time.Hour)
}

func (l *loader) keepEvents(value string) error {
	return duration(&l.config.KeepEvents, value, time.Hour, 3650*24*time.Hour)
}

func (l *loader) shutdownDelay(value string) error {
	return duration(&l.config.ShutdownDelay, value, 0, 5*time.Minute)
}

func (l *loader) drainTimeout(value string) error {
	return duration(&l.config.DrainTimeout, value, time.Second, 10*time.Minute)
}

func duration(to *time.Duration, value string, least, most time.Duration) error {
	d, err := latchkey.ParseDuration(value)
	if err != nil {
		return fmt.Errorf(`is %s; it must be a duration such as "90s", "10m", "1h30m" or "28d"`, quoted(value))
	}
	if d.Std() < least || d.Std() > most {
		from := "0s"
		if least > 0 {
			from = latchkey.Duration(least).String()
		}
		return fmt.Errorf("is %s; it must be %s to %s", d, from, latchkey.Duration(most))
	}
	*to = d.Std()
	return nil
}

func (l *loader) logFormat(value string) error {
	switch f := LogFormat(value); f {
	case LogAuto, LogText, LogJSON:
		l.config.LogFormat = f
		return nil
	}
	return fmt.Errorf("is %s; it must be auto, text or json", quoted(value))
}

func (l *loader) logLevel(value string) error {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(value, level.String()) {
			l.config.LogLevel = level
			return nil
		}
	}
	return fmt.Errorf("is %s; it must be debug, info, warn or error", quoted(value))
}

func (l *loader) readyFile(value string) error {
	l.config.ReadyFile = value
	return nil
}
