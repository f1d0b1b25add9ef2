#!/bin/sh
# Writes requirements.lock (what the daemon needs) and requirements-dev.lock (that, and what tests
# need) from pyproject.toml, for every system and Python from 3.11 on, with hashes.
set -eu
cd "$(dirname "$0")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place"
"$place/bin/pip" install -q --disable-pip-version-check uv

lock() { # FILE [OPTION...]
    file=$1
    shift
    "$place/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
        --output-file "$file" "$@" pyproject.toml
}

lock requirements.lock
lock requirements-dev.lock --extra dev
