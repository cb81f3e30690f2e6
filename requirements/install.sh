#!/bin/sh
# Make the environment FOLDER with the packages of requirements/LOCK.lock, those of development by default:
# `PYTHON=python3 requirements/install.sh FOLDER [LOCK]`. It is whole when FOLDER/.ready is there, so that an interrupted
# set-up is started again.
set -eu
folder=$1 python=$1/bin/python lock=requirements/${2:-dev}.lock
cd "$(dirname "$0")/.."

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: Python 3.11 or newer is needed; name it with PYTHON=, such as make PYTHON=python3.11" >&2
  exit 1
}
echo "setting up $folder from $lock (once)"
"${PYTHON:-python3}" -m venv "$folder"

by_pip() { "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps "$@"; }

# uv takes its settings from UV_*; those of pip that it doesn't know are handed on. Python compiles what it loads, when it
# does; where it may not keep that, uv compiles everything at once, as pip does.
by_uv() {
  env ${PIP_INDEX_URL:+UV_DEFAULT_INDEX="$PIP_INDEX_URL"} ${PIP_EXTRA_INDEX_URL:+UV_INDEX="$PIP_EXTRA_INDEX_URL"} \
    ${PIP_FIND_LINKS:+UV_FIND_LINKS="$PIP_FIND_LINKS"} ${PIP_CERT:+SSL_CERT_FILE="$PIP_CERT"} \
    "$folder/bin/uv" pip install --quiet --python "$python" --require-hashes --no-deps \
    ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} "$@"
}

# Where there is no uv, or it fails, pip installs the same files, checked against the same hashes, in several times the time.
{ by_pip --only-binary :all: -r requirements/setup.lock && by_uv -r "$lock"; } || {
  echo "uv can't be used here (see above): pip does the same, but takes minutes" >&2
  by_pip -r "$lock"
}
touch "$folder/.ready"
