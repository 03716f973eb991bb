#!/usr/bin/env bash
# Installs what entk needs (Debian 12, Ubuntu 24.04), then builds the program build/entk.
# A second run installs nothing and rebuilds only what changed.
#
#   ./setup.sh                  install what is missing, build the program
#   ./setup.sh --tests          the tests and examples too, and what they need
#   ./setup.sh --deps           install only
#   ./setup.sh --torch system   with the LibTorch that python3 has installed
#
# A LibTorch of your own is used where CMAKE_PREFIX_PATH or Torch_DIR leads to one; otherwise the
# wheel pinned in requirements.txt goes into the virtual environment .venv.
set -euo pipefail
cd "$(dirname "$0")"

exec 3>&2
say() { printf 'setup: %s\n' "$*" >&2; }
moving() { # on a terminal one line that is written over, elsewhere all lines
  if [ -t 2 ]; then
    while IFS= read -r line; do printf '\r\033[K%.100s' "$line"; done
    printf '\r\033[K'
  else
    cat
  fi
}

tests=false deps=false torch=wheel
while (($#)); do
  case "$1" in
    --tests) tests=true ;;
    --deps) deps=true ;;
    --torch) torch=${2:-}; shift ;;
    *) torch= ;;
  esac
  case "$torch" in
    wheel|system) shift ;;
    *) say "usage: ./setup.sh [--tests] [--deps] [--torch wheel|system]"; exit 2 ;;
  esac
done

packages=(g++ cmake ninja-build git python3 python3-venv libfmt-dev nlohmann-json3-dev libcli11-dev
          libeigen3-dev libxxhash-dev zlib1g-dev libcpp-httplib-dev pkg-config gnuplot-nox)
if $tests; then # MPI for the tests that start it
  packages+=(libgtest-dev libgmock-dev openmpi-bin libopenmpi-dev openssh-client)
fi

have() { # is this package's program or header here, however it got here?
  case "$1" in
    g++) command -v "${CXX:-g++}" ;;
    ninja-build) command -v ninja ;;
    gnuplot-nox) command -v gnuplot ;;
    python3-venv) python3 -c 'import venv, ensurepip' ;;
    cmake|git|python3|pkg-config) command -v "$1" ;;
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
  # Of apt's own lines the one that says how much is downloaded, and one a package.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" |
    { grep -E '^(Need to get|Setting up) ' || true; } | moving >&2
fi

own_torch() { # does CMAKE_PREFIX_PATH or Torch_DIR lead to a LibTorch?
  [ -n "${Torch_DIR:-}" ] && [ -e "${Torch_DIR}/TorchConfig.cmake" ] && return 0
  local prefix
  while IFS= read -r prefix; do
    for sub in share/cmake/Torch Torch; do [ -e "$prefix/$sub/TorchConfig.cmake" ] && return 0; done
  done < <(tr ':;' '\n\n' <<<"${CMAKE_PREFIX_PATH:-}")
  return 1
}

# The folder of python3's own LibTorch's TorchConfig.cmake and its version, where there is one that entk can use.
system_torch() {
  python3 - <<'PYTHON' 2>/dev/null
import importlib.metadata, importlib.util, os, sys
version = importlib.metadata.version("torch")
folder = os.path.join(os.path.dirname(importlib.util.find_spec("torch").origin), "share", "cmake", "Torch")
if tuple(map(int, version.split(".")[:2])) < (2, 11) or not os.path.exists(os.path.join(folder, "TorchConfig.cmake")):
    sys.exit(1)
print(folder, version)
PYTHON
}

# A tree that was set up with a LibTorch of the user's own stays with it.
if [ -z "${Torch_DIR:-}" ] && [ -e build/CMakeCache.txt ]; then
  Torch_DIR=$(sed -n 's/^Torch_DIR:[A-Z]*=//p' build/CMakeCache.txt)
fi
if [ "$torch" = system ]; then
  found=$(system_torch) || { say "python3 ($(command -v python3)) has no LibTorch of 2.11 or newer; leave out --torch system"; exit 2; }
  Torch_DIR=${found% *}
fi

install() { # pip's own moving line on a terminal; elsewhere what it downloads and how many MB
  if [ -t 2 ]; then
    .venv/bin/python -m pip install --disable-pip-version-check "$@" >&3
  else
    .venv/bin/python -m pip install --disable-pip-version-check "$@" |
      { grep -E '^( *Downloading|Successfully)' || true; } >&3
  fi
}
stamp=.venv/.entk-requirements
wanted=(requirements.txt)
if $tests; then wanted+=(requirements-tests.txt); fi
if own_torch; then
  say "using the LibTorch at ${Torch_DIR:-$CMAKE_PREFIX_PATH}"
elif ! cat "${wanted[@]}" | cmp -s - "$stamp"; then
  version=$(sed -n 's/^torch==//p' requirements.txt)
  if ! [ -x .venv/bin/python ]; then
    if found=$(system_torch); then
      say "python3 has LibTorch ${found##* } already: ./setup.sh --torch system builds with it and downloads none"
    fi
    python3 -m venv .venv
  fi
  say "LibTorch $version and the handwritten digits, into .venv (the CPU wheel is some 200 MB)"
  if ! install "torch==$version+cpu" 2>/dev/null; then
    say "no CPU wheel of torch $version in pip's sources; taking the default one, on most machines a CUDA build of several GB"
    say "(for the CPU build: stop, and set PIP_EXTRA_INDEX_URL to PyTorch's CPU index)"
    install "torch==$version"
  fi
  for file in "${wanted[@]}"; do install -r "$file"; done
  cat "${wanted[@]}" >"$stamp"
fi

if $deps; then exit 0; fi

configure=(cmake --preset release)
if [ -n "${Torch_DIR:-}" ]; then configure+=("-DTorch_DIR=$Torch_DIR"); fi
if $tests; then configure+=(-DENTK_TESTS=ON); elif ! [ -e build/build.ninja ]; then configure+=(-DENTK_TESTS=OFF); fi
if ! [ -e build/build.ninja ] || { $tests && grep -q '^ENTK_TESTS:BOOL=OFF' build/CMakeCache.txt; }; then
  say "configuring"
  mkdir -p build
  "${configure[@]}" >build/configure.log 2>&1 || { cat build/configure.log >&2; exit 1; }
  grep -E -- '-- entk:' build/configure.log >&2 || true
fi
if $tests; then
  cmake --build --preset release
else
  [ -e build/entk ] || say "building: some four minutes on two cores, the first time"
  cmake --build --preset release --target entk_program
fi
