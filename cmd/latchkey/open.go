package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/internal/config"
	"github.com/latchkey-dev/latchkey/internal/secret"
	"github.com/latchkey-dev/latchkey/internal/server"
	"github.com/latchkey-dev/latchkey/internal/store"
)

// need is what a command that opens the store by itself wants of the configuration.
type need bool

const (
	needStore  need = false
	needMaster need = true // it makes keys or reseals them
)

// onStore makes a command that opens the store by itself, beside a running server or
// without one.
func (t *terminal) onStore(c *cobra.Command, wants need, do func(c *cobra.Command, app *server.App, args []string) error) *cobra.Command {
	var data string
	config.StoreFlags(c.Flags())
	c.Flags().StringVar(&data, "data", "", "folder of latchkey dev, in place of --store and --master-key-file")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := useData(c, data); err != nil {
			return err
		}
		cfg, err := load(c)
		if err != nil {
			return err
		}
		master := cfg.Master
		if master == nil {
			if wants == needMaster {
				return &usageError{config.ErrNoMasterKey}
			}
			// Nothing is sealed or opened; the domain only wants one to be there.
			if master, err = secret.ParseRing(secret.NewMasterKey()); err != nil {
				return err
			}
		}
		st, err := openStore(c.Context(), cfg, store.Options{})
		if err != nil {
			return err
		}
		defer st.Close()
		app, err := server.Assemble(st, master, server.Nowhere, time.Now)
		if err != nil {
			return err
		}
		if wants == needMaster {
			if err := app.Unlock(c.Context()); err != nil {
				return err
			}
		}
		return do(c, app, args)
	}
	return c
}

// openStore opens the store, with a sentence for the commonest mistake.
func openStore(ctx context.Context, cfg config.Config, o store.Options) (store.Store, error) {
	st, err := store.Open(ctx, cfg.Store.Reveal(), o)
	if err != nil {
		return nil, fmt.Errorf("the store can't be opened: %w", err)
	}
	return st, nil
}

// load reads the configuration; what is wrong with it is a wrong call.
func load(c *cobra.Command) (config.Config, error) {
	cfg, err := config.Load(c.Flags(), os.Environ(), config.OpenFile)
	var problems config.Problems
	if errors.As(err, &problems) {
		return cfg, &usageError{err}
	}
	return cfg, err
}

// The files in a data folder.
func dataStore(dir string) string  { return "sqlite://" + filepath.Join(dir, "latchkey.db") }
func dataMaster(dir string) string { return filepath.Join(dir, "master.key") }

// useData sets --store and --master-key-file from --data.
func useData(c *cobra.Command, data string) error {
	if data == "" {
		return nil
	}
	for _, name := range []string{"store", "master-key-file"} {
		if c.Flags().Changed(name) {
			return usagef("--data stands for --store and --master-key-file: give one or the other")
		}
	}
	dir, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	_, err = os.Stat(dataMaster(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s isn't a folder of latchkey dev: it has no master.key; latchkey dev --data %[1]s makes one", data)
	}
	if err != nil {
		return fmt.Errorf("%s isn't a folder of latchkey dev: %w", data, err)
	}
	if err := c.Flags().Set("store", dataStore(dir)); err != nil {
		return err
	}
	return c.Flags().Set("master-key-file", dataMaster(dir))
}

// fieldNames are the names of a struct's members on the wire, in their order.
func fieldNames(v any) []string {
	var names []string
	typ := reflect.TypeOf(v)
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func migrateCommand(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Make the store, or bring it to this version",
		Long: "Makes the store if there is none, and brings its schema to this version. Changes only ever add, so servers of the version before go on working. Running it again changes nothing.",
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := load(c)
			if err != nil {
				return err
			}
			show := t.progress()
			from, to, err := store.Migrate(c.Context(), cfg.Store.Reveal(), func(step string) { show.show("%s", step) })
			show.done()
			if err != nil {
				return fmt.Errorf("the store can't be migrated: %w", err)
			}
			return t.show(map[string]int{"from": from, "to": to}, func() {
				if from == to {
					t.printf("the schema is at version %d already\n", to)
				} else {
					t.printf("the schema went from version %d to %d\n", from, to)
				}
			})
		},
	}
	config.StoreFlags(c.Flags())
	return c
}
