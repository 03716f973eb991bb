"""Packs what a study's figures are made of: pack.py STUDY NAME.json [COLUMN …] writes its text files, records thinned
to a few rows of few digits and to these columns besides, into one file that figures_test.cpp unpacks."""
import csv, io, json, pathlib, re, sys

folder, target = pathlib.Path(sys.argv[1]), sys.argv[2]
single = (folder / "metrics.csv").exists()
keep = {"step", "epoch", "train_loss", "test_loss", "R1", "R3", "population_R1", "population_R2"} | set(sys.argv[3:])
files = {}


def thin(text):
    rows = list(csv.reader(io.StringIO(text)))
    head, body = rows[0], rows[1:]
    standard = {"regularized_loss", "R2", "R4", "norm_W", "norm_gradient"} | keep
    columns = [i for i, name in enumerate(head) if single or name in keep or name not in standard]
    last = len(body) - 1
    wanted = sorted({0, last} | {round(last ** (k / 16)) for k in range(16)} | {last * k // 5 for k in range(5)})
    short = lambda v: v if v in ("", "nan") else f"{float(v):.4g}"
    out = [[head[i] for i in columns]] + [[short(body[r][i]) for i in columns] for r in wanted]
    return "".join(",".join(row) + "\n" for row in out)


for path in sorted(folder.rglob("*")):
    name = path.relative_to(folder).as_posix()
    if path.name == "metrics.csv":
        files[name] = thin(path.read_text())
    elif path.name in ("config.json", "command.txt", "status.json") and "runs/" not in name or name.startswith(
            ("parts/", "trials")) or path.name == "status.json":
        files[name] = re.sub(r"-?\d+\.\d{5,}(e-?\d+)?", lambda m: f"{float(m[0]):.5g}", path.read_text())
json.dump(files, open(target, "w"), ensure_ascii=False, indent=0)
