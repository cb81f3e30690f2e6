#!/bin/sh
# Resolve the versions in requirements/*.lock again: `requirements/lock.sh UV LOCK...`. The lock of development is resolved
# first; the others, named by their extras in pyproject.toml, take its versions. Those of other people's clients and servers
# are apart: they need other versions.
set -eu
uv=$1
shift
cd "$(dirname "$0")/.."

compile() { # EXTRA [OPTION]...
  extra=$1
  shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --extra "$extra" -o "requirements/$extra.lock" "$@" pyproject.toml
}

compile dev --upgrade
for lock; do compile "$lock" --constraint requirements/dev.lock; done
for apart in kserve mlserver litserve bentoml; do compile "$apart" --upgrade; done
