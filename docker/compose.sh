#!/bin/sh
# Docker Compose for `make up` and `make down`. It takes folders and the file of `CSV` as `make train` does: compose wants
# a folder to mount as an absolute path, and the name of a file in DATA_DIR.
set -eu

absolute() {
  case $1 in
    '' | /*) printf %s "$1" ;;
    '~'*) printf %s "$HOME${1#'~'}" ;;
    *) printf %s "$PWD/$1" ;;
  esac
}

DATA_DIR=$(absolute "${DATA_DIR-}") CSV=$(absolute "${CSV-}")
if test -n "${MODELS-}"; then # another model has reports of its own
  REPORTS=$(absolute "${REPORTS:-reports/$(printf %s "${MODELS#/}" | tr / -)}") MODELS=$(absolute "$MODELS")
  mkdir -p "$MODELS" "$REPORTS"
else
  MODELS='' REPORTS=$(absolute "${REPORTS-}")
fi
if test -e "$CSV"; then DATA_DIR=${CSV%/*}; fi
CSV=${CSV##*/}
export CSV DATA_DIR MODELS REPORTS

if docker compose version >/dev/null 2>&1; then exec docker compose "$@"; fi
exec docker-compose "$@" # the older tool of its own
