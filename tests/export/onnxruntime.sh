#!/usr/bin/env bash
# onnxruntime for C and C++ in DIR: its headers from Debian 13's libonnxruntime-dev, its library from the wheel of PyPI.
#   tests/export/onnxruntime.sh DIR && export ONNXRUNTIME_DIR=DIR
# Nothing is installed. A library runs programs built with headers of its own version or of an earlier one.
set -euo pipefail
mkdir -p "$1/include" "$1/lib"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/state/lists/partial" "$scratch/cache/archives/partial"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] http://deb.debian.org/debian trixie main" >"$scratch/sources.list"
apt() {
    (cd "$scratch" && apt-get -qq -o Dir::State="$scratch/state" -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root \
        -o Dir::Etc::SourceList="$scratch/sources.list" -o Dir::Etc::SourceParts=/dev/null "$@")
}
apt update
apt download libonnxruntime-dev
dpkg-deb --extract "$scratch"/libonnxruntime-dev_*.deb "$scratch/package"
cp "$scratch"/package/usr/include/onnxruntime/*.h "$1/include"

library=$(python -c 'import onnxruntime, pathlib; print(*pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))')
ln -sf "$library" "$1/lib/libonnxruntime.so"
ln -sf "$library" "$1/lib/libonnxruntime.so.1"  # the name that programs ask for when they start
