#!/usr/bin/env bash
# Makes the image that the container level of the tests runs in, localhost/debian:bookworm, without a registry: a minimal
# Debian by debootstrap, imported into podman. Needs root, podman, debootstrap. The tree is cached outside of the checkout.
set -euo pipefail
image=localhost/debian:bookworm
engine=${CONTAINER_ENGINE:-podman}
"$engine" image inspect "$image" >/dev/null 2>&1 && exit 0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/reana-lite-tests
mkdir -p "$cache"
archive=$cache/bookworm-minbase.tar
if [ ! -s "$archive" ]; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  debootstrap --variant=minbase bookworm "$root/debian" >"$cache/debootstrap.log" 2>&1
  tar -C "$root/debian" -cf "$archive.part" .
  mv "$archive.part" "$archive"
fi
"$engine" import "$archive" "$image" >/dev/null
