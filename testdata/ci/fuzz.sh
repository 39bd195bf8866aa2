#!/usr/bin/env bash
# Runs every fuzz target of the module for $FUZZTIME, one after the other.
set -euo pipefail
GO=${GO:-go}
for pkg in $("$GO" list ./...); do
	for target in $("$GO" test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target"
		"$GO" test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" "$pkg"
	done
done
