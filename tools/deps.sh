#!/bin/sh
# Installs what the tests need beyond Go, make and git, and says what it does. Where
# it can't install, it says in one sentence what is missing and why.
#
# GO names the go command.
set -eu
cd "$(dirname "$0")/.."

fail() {
	echo "deps: $1" >&2
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# quietly runs a command and prints its output only if it fails.
quietly() {
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		fail "this command failed: $*"
	fi
	rm -f "$log"
}

# install takes a sentence that says why, then the Debian packages.
install() {
	why=$1
	shift
	if ! has apt-get || [ "$(id -u)" != 0 ]; then
		fail "$why. Install it (on Debian and Ubuntu: apt-get install $*), or run make as root where there is apt-get."
	fi
	echo "    $why: running apt-get install $*"
	quietly apt-get update
	quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# On macOS the race detector links without a C compiler.
if [ "$("$GO" env GOOS)" != darwin ]; then
	compiler=$("$GO" env CC)
	compiler=${compiler%% *}
	if ! has "$compiler"; then
		install "the race detector needs a C compiler, and $compiler is not there" gcc libc6-dev
		has "$compiler" || fail "apt-get installed gcc, but the go command is set to use $compiler; unset CC"
	fi
fi

if ! has node || ! has npm; then
	install "the e2e tests need Node.js with npm" ca-certificates nodejs npm
fi

# The same commands as e2e/browser looks for.
has_browser() {
	if [ -n "${LATCHKEY_CHROMIUM:-}" ]; then
		has "$LATCHKEY_CHROMIUM"
	else
		has chromium || has chromium-browser || has google-chrome
	fi
}

if ! has_browser; then
	[ -z "${LATCHKEY_CHROMIUM:-}" ] || fail "LATCHKEY_CHROMIUM names $LATCHKEY_CHROMIUM, which is not there"
	install "the browser tests need Chromium (or another one that LATCHKEY_CHROMIUM names)" chromium
	has_browser || fail "apt-get installed chromium, but there is no such command; name one in LATCHKEY_CHROMIUM"
fi

if [ ! -d e2e/node_modules/jose ]; then
	echo "    the e2e tests check tokens with the npm package jose: running npm install in e2e/"
	cd e2e
	quietly npm install --no-package-lock --no-audit --no-fund
fi
