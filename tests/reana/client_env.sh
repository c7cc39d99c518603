#!/usr/bin/env bash
# The environment of the real REANA client: reana-client 0.9.6 and recast-atlas 0.4.2 in a virtual environment of their own
# (they need an older setuptools and much else that must not be beside this package). Prints its folder; made once per lock.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name="reana-client-$(sha256sum "$here/requirements.lock" | cut -c1-12)"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/reana-lite/$name"
if [ ! -e "$folder/complete" ]; then
  python="${REANA_CLIENT_PYTHON:-python3.11}"
  command -v "$python" >/dev/null || python=python3
  rm -rf "$folder"
  "$python" -m venv "$folder" >&2
  # without hashes: some of what it needs comes as source archives only, which are built here
  "$folder/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.lock" >&2
  touch "$folder/complete"
fi
echo "$folder"
