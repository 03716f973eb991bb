#!/usr/bin/env python3
"""Whether the tests notice faults: one-line mutants of the numerical rooms, and which of them live.

    tests/mutation/mutate.py TREE [--only TEXT] [--jobs N] [--built]

TREE is a copy of the source tree that has been configured in TREE/build: never the tree you work in, its sources are
changed. All mutants of mutants.txt go into one build, each behind a test of the environment variable ENTK_MUTANT; then
each one's room is tested with it switched on, and, while it lives, the other rooms, and runs over several processes.
Exits 1 if one lives.
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Taken where the quick ones of the room let a mutant live.
SLOW = {"kernels": "TileKernels*:FusedKernels*:PrimitiveBound*:FusedLayout*", "theory": "Landscape*",
        "train": "Trajectory*:RecordedSteps*:Trainer.Follows*:Trainer.RegularizingR3*:*Saddle*", "spectrum": "PopulationTiles*"}
ROOMS = ["kernels", "train", "regularizers", "spectrum", "theory"]
# Sums that one process makes rightly, and several do not.
PROCESSES = ("mpi", "Mpi.*OfOne*")
# Several files are compiled as one.
SWITCH = """#ifndef ENTK_MUTANT_SWITCH
#define ENTK_MUTANT_SWITCH
#include <cstdlib>
static bool entk_mutant(int number) {
  static const char* chosen = std::getenv("ENTK_MUTANT");
  return chosen && std::atoi(chosen) == number;
}
#endif
"""


def read_mutants():
    mutants = []
    for line in (HERE / "mutants.txt").read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        place, original, mutated = (part.strip() for part in (line + " ").split(" | "))
        path, _, nth = place.partition("#")
        mutants.append((path, int(nth or 0), original, mutated))
    return mutants


def room_of(mutant):
    return mutant[0].split("/")[1]


def plant(tree, mutants, write=True):
    """Writes all mutants into the tree's sources, or only finds their places."""
    texts, places = {}, []
    for number, (path, nth, original, mutated) in enumerate(mutants, 1):
        text = texts.setdefault(path, (tree / path).read_text())
        if write and "entk_mutant" in text:
            sys.exit(f"{tree / path}: it has mutants already; take a fresh copy")
        at = -1
        for _ in range(nth or 1):
            at = text.find(original, at + 1)
            if at < 0:
                sys.exit(f"mutants.txt: '{original}' does not stand in {path}")
        if nth == 0 and text.count(original) > 1:
            sys.exit(f"mutants.txt: '{original}' stands more than once in {path}")
        if any(part.count("(") != part.count(")") for part in (original, mutated)):
            sys.exit(f"mutants.txt: '{original}' of {path}: expected whole expressions, or statements that end in ;")
        if original.endswith(";"):
            new = f"if (entk_mutant({number})) {{ {mutated} }} else {{ {original} }}"
        else:
            new = f"(entk_mutant({number}) ? ({mutated}) : ({original}))"
        places.append((path, at, original, new))
    if not write:
        return
    for path, at, original, new in sorted(places, key=lambda p: -p[1]):
        texts[path] = texts[path][:at] + new + texts[path][at + len(original):]
    for path, text in texts.items():
        (tree / path).write_text(SWITCH + text)


def passes(tree, room, number, tests="*"):
    words = [str(tree / "build" / f"{room}_tests"), "--gtest_fail_fast", "--gtest_brief=1", f"--gtest_filter={tests}"]
    try:
        result = subprocess.run(words, cwd=tree, env=os.environ | {"ENTK_MUTANT": str(number)}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=600)
    except subprocess.TimeoutExpired:
        return False, "timeout"
    failed = [line for line in result.stdout.splitlines() if line.startswith("[  FAILED  ]")]
    return result.returncode == 0, failed[0][13:].split(",")[0].split(" (")[0] if failed else f"exit {result.returncode}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=pathlib.Path)
    parser.add_argument("--only", default="", help="mutants whose line holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="tests that run at the same time")
    parser.add_argument("--built", action="store_true", help="the tree has its mutants, and is built")
    parser.add_argument("--check", action="store_true", help="only whether every mutant has its place in the tree")
    options = parser.parse_args()
    tree = options.tree.resolve()
    if options.check:
        return plant(tree, read_mutants(), write=False)
    if HERE.is_relative_to(tree) and not options.built:
        sys.exit(f"{tree}: expected a copy of the tree that this script stands in")
    mutants = read_mutants()
    if not options.built:
        plant(tree, mutants)
        rooms = sorted({*ROOMS, PROCESSES[0]} | {room_of(mutant) for mutant in mutants})
        subprocess.run(["ninja", "-C", str(tree / "build")] + [f"{room}_tests" for room in rooms], check=True)

    def killer(number):
        own = room_of(mutants[number - 1])
        for room, tests in [(own, "-" + SLOW.get(own, ""))] + [(r, "*") for r in [own] + [r for r in ROOMS if r != own]] + [PROCESSES]:
            whole, why = passes(tree, room, number, tests)
            if not whole:
                return why
        return None

    chosen = [i for i, m in enumerate(mutants, 1) if options.only in f"{m[0]} | {m[2]}"]
    living = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        killers = [pool.submit(killer, number) for number in chosen]
        unmutated = [(room, pool.submit(passes, tree, room, 0, tests))
                     for room, tests in [PROCESSES] + [(r, "*") for r in sorted(
                         {*ROOMS, *(room_of(mutants[number - 1]) for number in chosen)})]]
        for number, result in zip(chosen, killers):
            path, _, original, mutated = mutants[number - 1]
            living += not result.result()
            print(f"{number} | {path} | {original} | {mutated} | {result.result() or 'LIVES'}", flush=True)
        for room, result in unmutated:
            if not result.result()[0]:
                sys.exit(f"{room}: it fails without a mutant: {result.result()[1]}")
    print(f"{len(chosen) - living} of {len(chosen)} killed")
    return 1 if living else 0


if __name__ == "__main__":
    sys.exit(main())
