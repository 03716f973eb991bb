#!/usr/bin/env python3
"""docs/results.md and its figures, from the folders under docs/results.

    docs/results.py add FOLDER NAME    keeps the text of a finished study as docs/results/NAME
    docs/results.py write              draws every study again with build/entk, writes docs/results.md
    docs/results.py check              the same in a temporary folder; exit 1 where what is committed differs

docs/results/NAME is a study's folder without its checkpoints, clocks and plots, so `entk report` draws a copy of it.
note.md in it, where there is one, is printed above its numbers. NAME is that of a stage of `entk reproduce`, or begins with one and a
dash; a stage that no folder is of is "not run". Another program: ENTK=path.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DOCS = pathlib.Path(__file__).resolve().parent
RESULTS = DOCS / "results"
KEPT = {".json", ".csv", ".txt", ".md"}
LEFT = {"timing.csv", "results.md"}
RUN_KEEPS = {"config.json", "metrics.csv", "status.json", "summary.json", "trials.csv"}  # of a run inside a study


def entk():
    return os.environ.get("ENTK", str(DOCS.parent / "build" / "entk"))


def add(folder, name):
    source, target = pathlib.Path(folder), RESULTS / name
    state = json.loads((source / "status.json").read_text())["state"]
    if state != "done":
        sys.exit(f"{folder}: its status is {state}, expected done")
    note = (target / "note.md").read_text() if (target / "note.md").exists() else None
    if target.exists():
        shutil.rmtree(target)
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if not path.is_file() or path.suffix not in KEPT or path.name in LEFT:
            continue
        if inside.parts[0] == "runs" and path.name not in RUN_KEEPS:
            continue
        if path.stat().st_size > 300_000:
            sys.exit(f"{path}: {path.stat().st_size} bytes, expected small text")
        to = target / inside
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    # Where it ran and on how many threads decides nothing.
    typed = (target / "command.txt").read_text()
    (target / "command.txt").write_text(re.sub(r"^\S+| --(out|threads) \S+| --(quiet|plan)", lambda m: "" if m[0][0] == " " else "entk", typed))
    if note is not None:
        (target / "note.md").write_text(note)


def studies():
    return sorted(p.parent.name for p in RESULTS.glob("*/config.json"))


def draw(name, scratch):
    """A copy of docs/results/NAME with what `entk report` makes of it."""
    copy = pathlib.Path(scratch) / name
    shutil.copytree(RESULTS / name, copy)
    run = subprocess.run([entk(), "report", str(copy)], capture_output=True, text=True)
    if run.returncode not in (0, 1):
        sys.exit(f"entk report {name}: exit {run.returncode}\n{run.stderr}")
    return copy


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(rows):
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + "---|" * len(rows[0])
    for row in rows[1:]:
        yield "| " + " | ".join(cell(c) for c in row) + " |"


def claims_of(folder):
    file = folder / "claims.json"
    return json.loads(file.read_text())["claims"] if file.exists() else []


def stages():
    """Those of `entk reproduce`, in its order."""
    run = subprocess.run([entk(), "reproduce", "--print-config"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"entk reproduce --print-config: exit {run.returncode}\n{run.stderr}")
    return json.loads(run.stdout)["stages"]


def stage_of(name, names):
    return max((s for s in names if name == s or name.startswith(s + "-")), key=len, default=None)


def page(folders):
    """docs/results.md, from folders that were drawn."""
    yield "# Results\n"
    yield ("Made by `docs/results.py write` from the folders in [results](results), which hold each study's configuration, "
           "environment, command, curves,\nclaims and numbers. Verdicts are those of 95% intervals over seeds and of criteria "
           "fixed beforehand ([reproduce.md](reproduce.md)).\n")
    rows = [["claim", "paper", "here", "size", "verdict", "data"]]
    for name, folder in folders.items():
        for claim in claims_of(folder):
            rows.append([f"{claim['source']}: {claim['statement']}", claim["paper"], claim["ours"], claim["size"],
                         f"**{claim['verdict']}**", f"[{name}](#{name})"])
    names = stages()
    kept = {stage_of(name, names) for name in folders}
    for stage in names:
        if stage not in kept:
            rows.append([f"`entk reproduce --stages {stage}`", "", "", "any", "**not run**", ""])
    yield from table(rows)
    for name, folder in folders.items():
        yield f"\n## {name}\n"
        note = RESULTS / name / "note.md"
        if note.exists():
            yield note.read_text().strip() + "\n"
        environment = json.loads((folder / "environment.json").read_text())
        yield f"    {(folder / 'command.txt').read_text().strip().splitlines()[0]}\n"
        yield (f"entk {environment['git_revision']}, LibTorch {environment['torch']}, {environment.get('cpu', '')}"
               f" ({environment.get('instruction_set', '')}), {environment['device']}. [Data](results/{name})\n")
        yield (folder / "results.md").read_text().strip()
        for figure in sorted(folder.glob("*.svg")):
            yield f"\n![{figure.stem}](figures/{figure_name(name, figure)})"


def figure_name(study, figure):
    return f"{study}.svg" if study.startswith(figure.stem) else f"{study}-{figure.name}"


def build(scratch):
    folders = {name: draw(name, scratch) for name in studies()}
    return "\n".join(page(folders)) + "\n", folders


def write():
    with tempfile.TemporaryDirectory() as scratch:
        text, folders = build(scratch)
        (DOCS / "results.md").write_text(text)
        for name, folder in folders.items():
            for figure in folder.glob("*.svg"):
                shutil.copyfile(figure, DOCS / "figures" / figure_name(name, figure))
            for file in ("claims.json", "results.csv"):
                if (folder / file).exists():
                    shutil.copyfile(folder / file, RESULTS / name / file)


def check():
    if shutil.which("gnuplot") is None:
        print("no gnuplot: the page names its figures")
        sys.exit(77)
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        text, folders = build(scratch)
        if (DOCS / "results.md").read_text() != text:
            wrong.append("docs/results.md")
        for name, folder in folders.items():
            for file in ("claims.json", "results.csv"):
                if (folder / file).exists() and (folder / file).read_text() != (RESULTS / name / file).read_text():
                    wrong.append(f"docs/results/{name}/{file}")
            for figure in folder.glob("*.svg"):
                if not (DOCS / "figures" / figure_name(name, figure)).exists():
                    wrong.append(f"docs/figures/{figure_name(name, figure)} is missing")
    if wrong:
        sys.exit("not what docs/results.py write makes: " + ", ".join(wrong))


if __name__ == "__main__":
    commands = {"add": (add, 2), "write": (write, 0), "check": (check, 0)}
    command, count = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if command is None or len(sys.argv) != 2 + count:
        sys.exit(__doc__)
    command(*sys.argv[2:])
