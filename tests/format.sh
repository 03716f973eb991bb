#!/usr/bin/env bash
# Fails where clang-format would write a C++ file of the tree differently; with --fix it does so.
# Exit 77, which ctest shows as skipped, where the clang-format of requirements-tests.txt is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=.venv/bin/clang-format
version=$(sed -n 's/^clang-format==//p' requirements-tests.txt)
[ "$($tool --version 2>/dev/null | sed 's/.*version \([0-9.]*\).*/\1/')" = "$version" ] || { echo "no clang-format $version in .venv"; exit 77; }
find src apps tests bench \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0 |
  if [ "${1:-}" = --fix ]; then xargs -0 $tool -i; else xargs -0 $tool --dry-run -Werror; fi
