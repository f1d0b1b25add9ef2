#!/bin/sh
# Makes .venv as requirements-dev.lock says, and installs the system programs that the daemon, the
# demo and the tests call. Does next to nothing when all of it is there.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

fail() {
    echo "$*" >&2
    exit 1
}

# Debian keeps mke2fs in /usr/sbin, which is not on the path of everybody.
PATH=$PATH:/usr/sbin:/sbin
packages=
need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

command -v "$PYTHON" >/dev/null 2>&1 ||
    fail "There is no '$PYTHON'. Install Python 3.11 or newer, or name yours: make PYTHON=python3.12"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$PYTHON" -V) is too old; 3.11 or newer is needed. Name another: make PYTHON=python3.12"

"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
need gpg gnupg
need gpgv gpgv
need mke2fs e2fsprogs
need qemu-img qemu-utils
need curl curl
need pigz pigz
need xz xz-utils
need zstd zstd
need openssl openssl
need chromium chromium
need zsh zsh
need fish fish
need mandoc mandoc
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages="$packages ca-certificates"

if [ -n "$packages" ]; then
    command -v apt-get >/dev/null 2>&1 ||
        fail "These Debian packages, or what your system calls them, are missing:$packages"
    if [ "$(id -u)" = 0 ]; then
        root=
    elif sudo -n true 2>/dev/null; then
        root=sudo
    else
        fail "Some programs are missing. Please run: sudo apt-get install$packages"
    fi
    echo "Installing$packages ..."
    $root apt-get update -qq || echo "The package lists could not be brought up to date." >&2
    # shellcheck disable=SC2086 # the words are packages
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $packages </dev/null >/dev/null ||
        fail "That failed. Please run: sudo apt-get install$packages"
fi

wanted=$({ pwd && "$PYTHON" -V && cat requirements-dev.lock pyproject.toml setup.py tools/setup.sh; } | sha256sum)
if [ "$(cat .venv/made-from 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

echo "Making .venv (a minute or two) ..."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
rm -f .venv/made-from
# A virtual environment cannot be moved: its programs name the place where it was made.
if ! head -n 1 .venv/bin/pip 2>/dev/null | grep -qF "$PWD/.venv/" ||
    ! .venv/bin/pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$PYTHON" -m venv .venv
fi
.venv/bin/python -m pip install -qq --no-deps --require-hashes -r requirements-dev.lock
.venv/bin/python -m pip install -qq --no-deps --no-build-isolation --editable .
echo "$wanted" >.venv/made-from
