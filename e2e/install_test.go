package e2e

import (
	"database/sql"
	"os"
	"strings"
)

// installation is what an operator makes before the first start.
type installation struct {
	*world
	store, master string // flags' values
	in            tenancy
}

// install makes a master key, a store and a project.
func (w *world) install() installation {
	w.t.Helper()
	i := installation{world: w, store: "sqlite://" + w.path("latchkey.db"), master: w.path("master.key")}
	w.masterKey("master.key")
	w.run("migrate", "--store", i.store).must(w.t)
	w.runSecret(nil, "", i.args("project", "create", "Shop", "--json")...).read(w.t, &i.in)
	return i
}

// masterKey makes a file with a fresh master key.
func (w *world) masterKey(name string) string {
	w.t.Helper()
	text := w.runSecret(nil, "", "key", "master").must(w.t).out
	w.mu.Lock()
	w.masters = append(w.masters, strings.TrimSpace(text))
	w.mu.Unlock()
	return w.write(name, text)
}

// args adds the flags that say where the data is.
func (i installation) args(args ...string) []string {
	return append(args, "--store", i.store, "--master-key-file", i.master)
}

// serve starts a server with more flags.
func (i installation) serve(flags ...string) *process {
	i.t.Helper()
	return i.start(i.args(append([]string{"serve", "--addr", "127.0.0.1:0", "--network-limit", "0"}, flags...)...)...)
}

// sizes returns how long the store's file and its write-ahead log are, in KiB.
func (i installation) sizes() (file, log int64) {
	for suffix, size := range map[string]*int64{"": &file, "-wal": &log} {
		if info, err := os.Stat(i.path("latchkey.db" + suffix)); err == nil {
			*size = info.Size() >> 10
		}
	}
	return file, log
}

// schema returns the version of the store's schema, after changing it to what another
// version of the program would have left, unless to is negative.
func (i installation) schema(to int) int {
	i.t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(i.store, "sqlite://"))
	if err != nil {
		i.t.Fatal(err)
	}
	defer db.Close()
	if to >= 0 {
		if _, err := db.Exec("UPDATE schema_version SET version = ?", to); err != nil {
			i.t.Fatal(err)
		}
	}
	var version int
	if err := db.QueryRow("SELECT version FROM schema_version").Scan(&version); err != nil {
		i.t.Fatal(err)
	}
	return version
}
