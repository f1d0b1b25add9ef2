#!/bin/sh
# Builds the Debian package of what is here into dist/, away from the tree, and installs what that
# needs. Does not need to be root, but for installing.
set -eu
cd "$(dirname "$0")/.."

packages=
for package in dpkg-dev debhelper gpg python3 python3-venv binutils fakeroot; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        packages="$packages $package"
done
if [ -n "$packages" ]; then
    if [ "$(id -u)" = 0 ]; then
        root=
    elif sudo -n true 2>/dev/null; then
        root=sudo
    else
        echo "Some packages are missing. Please run: sudo apt-get install$packages" >&2
        exit 1
    fi
    echo "Installing$packages ..."
    $root apt-get update -qq || echo "The package lists could not be brought up to date." >&2
    # shellcheck disable=SC2086 # the words are packages
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $packages </dev/null >/dev/null
fi

place=build/deb
rm -rf "$place"
mkdir -p "$place/tree" dist
git ls-files -z --cached --others --exclude-standard |
    tar --null --files-from=- --exclude=tests --exclude=benchmarks -cf - 2>/dev/null |
    tar -xf - -C "$place/tree"
(cd "$place/tree" && dpkg-buildpackage -us -uc -b) >"$place/log" 2>&1 || {
    tail -n 40 "$place/log" >&2
    echo "The package was not built; all that was said is in $place/log" >&2
    exit 1
}
rm -f dist/image-store-proxy_*
mv "$place"/image-store-proxy_* dist/
rm -rf "$place/tree"
ls dist/image-store-proxy_*.deb
