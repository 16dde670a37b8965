package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/latchkey-dev/latchkey/internal/spelling"
)

// parseFile reads a TOML file into values as a flag would have them. Problems name the
// key, or nothing when the whole file is concerned: then it is no TOML and the values
// are nil.
//
// Problems hold nothing of the file but keys that look like a setting's, because what is
// in a file that is no configuration may well be a secret.
func parseFile(content []byte) (map[string]string, Problems) {
	var raw map[string]any
	if err := toml.Unmarshal(content, &raw); err != nil {
		detail := "is not valid TOML"
		if e, ok := errors.AsType[toml.ParseError](err); ok {
			detail += ": see line " + strconv.Itoa(e.Position.Line)
		}
		return nil, Problems{{"", detail}}
	}
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.Name] = s
	}
	values, problems := map[string]string{}, Problems{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		s, ok := known[key]
		switch {
		case !ok:
			near := nearest(key, func(s Setting) string {
				if !s.File {
					return ""
				}
				return s.Name
			})
			problems = append(problems, Problem{shown(key), "is not a setting" + near})
		case !s.File:
			problems = append(problems, Problem{key, "can't be set in a file; " + s.Env + " is for it"})
		default:
			value, err := scalar(raw[key], s.list)
			if err != nil {
				problems = append(problems, Problem{key, err.Error()})
				continue
			}
			values[key] = value
		}
	}
	return values, problems
}

// scalar returns a TOML value in the form of a flag.
func scalar(value any, list bool) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case []any:
		var all []string
		for _, element := range v {
			s, ok := element.(string)
			if !ok || !list {
				break
			}
			all = append(all, s)
		}
		if list && len(all) == len(v) {
			return strings.Join(all, ","), nil
		}
	}
	if list {
		return "", errors.New("wants a string or a list of strings")
	}
	return "", errors.New("wants a string or a whole number")
}

// maxName is the length up to which a name that was given is shown. Ours are shorter,
// and a master key is longer.
const maxName = 30

// shown returns a name that was given, if it looks like one of ours.
func shown(name string) string {
	if name == "" || len(name) > maxName || strings.Trim(name, letters+"0123456789_-") != "" {
		return "a name that isn't shown"
	}
	return name
}

// nearest suggests the setting whose name is most like the given one, if one is, in the
// spelling of the place where it was given. A setting without one isn't suggested.
func nearest(name string, spell func(Setting) string) string {
	if len(name) > maxName {
		return ""
	}
	plain := func(s string) string {
		return strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(s), "latchkey_"), "_", "-")
	}
	spelled := map[string]string{}
	var names []string
	for _, s := range settings() {
		if of := spell(s.Setting); of != "" {
			spelled[s.Name] = of
			names = append(names, s.Name)
		}
	}
	best := spelling.Nearest(plain(name), names...)
	if best == "" {
		return ""
	}
	return "; did you mean " + spelled[best] + "?"
}

var (
	serviceName = regexp.MustCompile(`^LATCHKEY_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	servicePort = regexp.MustCompile(`^LATCHKEY_([A-Z0-9_]+_)?PORT$`)
)

// orchestrated reports whether a variable is one that Kubernetes sets in every container
// when a Service is called latchkey, or latchkey-something. Refusing it would keep a
// correct deployment from starting. LATCHKEY_PORT=8080 is a mistake all the same.
func orchestrated(name, value string) bool {
	return serviceName.MatchString(name) ||
		servicePort.MatchString(name) && strings.Contains(value, "://")
}

// ofApplications reports whether a variable is one that applications read, by the SDK's
// docs and the examples. Whoever works on both exports them in the shell that also
// starts the server.
func ofApplications(name string) bool {
	return slices.Contains([]string{"LATCHKEY_ISSUER", "LATCHKEY_KEY", "LATCHKEY_COOKIE_KEYS"}, name)
}
