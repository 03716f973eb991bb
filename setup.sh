#!/usr/bin/env bash
# Installs what entk needs (Debian 12, Ubuntu 24.04), then builds it into build/.
# A second run installs nothing and rebuilds only what changed.
#
#   ./setup.sh            install what is missing, configure and build the release preset
#   ./setup.sh --deps     install only
#
# A LibTorch of your own is used where CMAKE_PREFIX_PATH or Torch_DIR leads to one; otherwise the
# wheel pinned in requirements.txt goes into the virtual environment .venv.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*" >&2; }

packages=(g++ cmake ninja-build git python3 python3-venv libfmt-dev nlohmann-json3-dev libcli11-dev
          libeigen3-dev libxxhash-dev zlib1g-dev libgtest-dev libgmock-dev gnuplot-nox)

have() { # is this package's program or header here, however it got here?
  case "$1" in
    g++) command -v "${CXX:-g++}" ;;
    ninja-build) command -v ninja ;;
    gnuplot-nox) command -v gnuplot ;;
    python3-venv) python3 -c 'import venv, ensurepip' ;;
    cmake|git|python3) command -v "$1" ;;
    *) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
  esac >/dev/null 2>&1
}

missing=()
for package in "${packages[@]}"; do have "$package" || missing+=("$package"); done
if ((${#missing[@]})); then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  if ! command -v apt-get >/dev/null; then
    say "missing: ${missing[*]} (Debian's names); install them with this system's package manager and run again"
    exit 2
  fi
  if [ "$(id -u)" -ne 0 ] && ! { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }; then
    say "missing: ${missing[*]}"
    say "no right to install packages here; ask for: apt-get install --no-install-recommends ${missing[*]}"
    exit 2
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q >/dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
fi

own_torch() { # does CMAKE_PREFIX_PATH or Torch_DIR lead to a LibTorch?
  [ -n "${Torch_DIR:-}" ] && [ -e "${Torch_DIR}/TorchConfig.cmake" ] && return 0
  local prefix
  while IFS= read -r prefix; do
    for sub in share/cmake/Torch Torch; do [ -e "$prefix/$sub/TorchConfig.cmake" ] && return 0; done
  done < <(tr ':;' '\n\n' <<<"${CMAKE_PREFIX_PATH:-}")
  return 1
}

stamp=.venv/.entk-requirements
if own_torch; then
  say "using the LibTorch that CMAKE_PREFIX_PATH or Torch_DIR names"
elif ! cmp -s requirements.txt "$stamp"; then
  version=$(sed -n 's/^torch==//p' requirements.txt)
  [ -x .venv/bin/python ] || python3 -m venv .venv
  if ! .venv/bin/python -m pip install -q "torch==$version+cpu" 2>/dev/null; then
    say "no CPU wheel of torch $version in pip's sources; taking the default one, on most machines a CUDA build of several GB"
    say "(for the CPU build: stop, and set PIP_EXTRA_INDEX_URL to PyTorch's CPU index)"
    .venv/bin/python -m pip install -q "torch==$version"
  fi
  .venv/bin/python -m pip install -q -r requirements.txt
  cp requirements.txt "$stamp"
fi

[ "${1:-}" = --deps ] && exit 0

configure=(cmake --preset release)
[ -n "${Torch_DIR:-}" ] && configure+=("-DTorch_DIR=$Torch_DIR")
if ! [ -e build/build.ninja ]; then
  say "configuring"
  mkdir -p build
  "${configure[@]}" >build/configure.log 2>&1 || { cat build/configure.log >&2; exit 1; }
  grep -E -- '-- entk:' build/configure.log >&2 || true
fi
[ -e build/entk ] || say "building: the first time takes a quarter of an hour on two cores"
cmake --build --preset release -- --quiet
