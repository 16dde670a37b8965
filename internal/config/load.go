package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// OpenFile is os.Open as an Open.
func OpenFile(name string) (fs.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err // a nil *os.File in an interface would not be nil
	}
	return f, nil
}

// loader gathers a configuration and its problems.
type loader struct {
	flags    *pflag.FlagSet
	env      map[string]string
	file     map[string]string
	fileName string
	fileBad  bool // the file couldn't be read: what is missing may be in it
	open     Open

	config   Config
	given    map[string]string // settings that were given, by name: where
	problems Problems
}

// Load reads the settings whose flags fs has (Flags or StoreFlags): a flag goes before a
// variable of environ, a variable before the file that is named by --config or
// LATCHKEY_CONFIG, the file before the default. An empty variable is no variable. The
// error is Problems: all there are.
//
// The store is required, and of a server also the master key and, unless it listens on
// a loopback address, the public URL. Settings without a flag in fs are known but not
// looked at.
func Load(fs *pflag.FlagSet, environ []string, open Open) (Config, error) {
	l := loader{flags: fs, open: open, given: map[string]string{}}
	l.readEnvironment(environ)
	l.readFile()
	for _, s := range settings() {
		if l.concerns(s) {
			value, where := l.find(s)
			if where == "" && s.Default == "" {
				continue
			}
			l.take(s, value, where)
		}
	}
	l.together()
	if len(l.problems) > 0 {
		return Config{}, l.problems
	}
	l.publicURL()
	l.warn()
	return l.config, nil
}

// concerns reports whether the command at hand has the setting. The master key itself
// has no flag; it goes with that of its file.
func (l *loader) concerns(s setting) bool {
	if s.Flag {
		return l.flags.Lookup(s.Name) != nil
	}
	return l.flags.Lookup("master-key-file") != nil
}

// serving reports whether the command at hand is a server.
func (l *loader) serving() bool { return l.flags.Lookup("addr") != nil }

// find returns the value of a setting and where it was given, "" for the default.
func (l *loader) find(s setting) (value, where string) {
	if f := l.flags.Lookup(s.Name); f != nil && f.Changed {
		return f.Value.String(), "--" + s.Name
	}
	if v := l.env[s.Env]; v != "" {
		return v, s.Env
	}
	if v, ok := l.file[s.Name]; ok && s.File {
		return v, s.Name + " in " + l.fileName
	}
	return s.Default, ""
}

// take applies a value and notes where it came from.
func (l *loader) take(s setting, value, where string) {
	if where != "" && l.given != nil {
		l.given[s.Name] = where
	}
	if err := s.apply(l, strings.TrimSpace(value)); err != nil {
		l.problem(where, err.Error())
	}
}

func (l *loader) problem(setting, detail string) {
	l.problems = append(l.problems, Problem{setting, detail})
}

// readEnvironment keeps our variables and reports those that are no setting: a setting
// with a typing error would be the default, and nobody would know.
func (l *loader) readEnvironment(environ []string) {
	l.env = map[string]string{}
	known := map[string]bool{}
	for _, s := range settings() {
		known[s.Env] = true
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		switch _, again := l.env[name]; {
		case !strings.HasPrefix(name, "LATCHKEY_"), again, orchestrated(name, value), ofApplications(name):
		case known[name]:
			l.env[name] = strings.TrimSpace(value)
		default:
			l.problem(shown(name), "is not a setting"+nearest(name, func(s Setting) string { return s.Env }))
		}
	}
}

// readFile reads the file that was named, if one was.
func (l *loader) readFile() {
	name, where := l.find(fileSetting())
	if where == "" {
		return
	}
	l.fileName = filepath.Base(name)
	content, _, err := l.read(name, 1<<20)
	if err != nil {
		l.fileBad = true
		l.problem(where, err.Error())
		return
	}
	values, problems := parseFile(content)
	for _, p := range problems {
		if p.Setting == "" {
			p.Setting = l.fileName
		} else {
			p.Setting += " in " + l.fileName
		}
		l.problems = append(l.problems, p)
	}
	l.file, l.fileBad = values, values == nil
}

// read returns the content of a small file and its mode. Errors don't hold the name: it
// is where people put a secret by mistake.
func (l *loader) read(name string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := l.open(name)
	if err != nil {
		return nil, 0, errors.New("can't be opened: " + reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.New("can't be read: " + reason(err))
	}
	if info.IsDir() {
		return nil, 0, errors.New("is a directory, not a file")
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, errors.New("can't be read: " + reason(err))
	}
	if int64(len(content)) > limit {
		return nil, 0, errors.New("is too long")
	}
	return content, info.Mode(), nil
}

// reason returns what went wrong with a file, without its name.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return "the system gives no reason"
}
