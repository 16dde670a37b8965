#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME, one after the other. A target is
# found by its name, so a new one needs no entry anywhere.
#
# An input that reaches something new is made smaller in so few executions: SQLite, whose
# caches make each execution a little different, has something new every time, and by
# default each costs a minute in which nothing else is tried.
#
# GO names the go command.
set -eu
cd "$(dirname "$0")/.."

# go test -list prints the targets of a package, then a line with the package's path.
listing=$("$GO" test -list '^Fuzz' ./...)
targets=$(printf '%s\n' "$listing" | awk '
	/^Fuzz/ { names[++n] = $1 }
	/^ok/   { for (i = 1; i <= n; i++) print names[i], $2; n = 0 }')
[ -n "$targets" ] || {
	echo "fuzz: there is no fuzz target" >&2
	exit 1
}

printf '%s\n' "$targets" | while read -r name package; do
	echo "==> fuzz: $name in $package for $FUZZTIME"
	"$GO" test -run '^$' -fuzz "^$name\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 50x "$package" </dev/null
done
