#!/usr/bin/env python3
"""One training step of entk beside the alternatives, in turn on this machine.

    bench/compare.py                        # ratios at Figure 1's size, 4 n and 4 m; threads 1 and 2
    bench/compare.py --growth --out DIR     # time and memory against n, d and m, with a plot
    bench/compare.py --projector --memory-limit 18    # entk's projector beside an SVD of the n x md features
    bench/compare.py --mlp --threads 2      # a three-layer network's expansion and NTK beside neural-tangents'

The peers get a virtual environment of their own, bench/.venv-peers, made at the first call. A step is
value, gradient and update of f_L + f_Q with the square loss and R3, in float32. All programs take turns,
A B C A B C …, so that what slows the machine slows all of them; ratios are those of medians over all
turns. Every process is held to the same processors and to a memory limit of its own.
"""
import argparse
import contextlib
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv-peers"
FIGURE_1 = (1000, 100, 10000)
SIZES = [FIGURE_1, (4000, 100, 10000), (1000, 100, 40000)]
GROWTH = {"n": [250, 1000, 4000, 16000, 64000], "d": [25, 50, 100, 200, 400, 800],
          "m": [2500, 10000, 40000, 160000, 640000]}
SLOWEST_STEP = 20.0  # seconds: an implementation's growth curve ends there

# d -> m -> m -> 1, a million parameters: entk's piece, the size, and who else does it.
MLP = {"mlp-step": ((512, 100, 952), {"neural-tangents, taylor_expand": ("jax_mlp.py", "step")}),
       "mlp-ntk": ((500, 100, 952), {"neural-tangents, structured derivatives": ("jax_mlp.py", "structured")})}

PEERS = {
    "torch.compile, by hand": ("torch_step.py", "compiled"),
    "torch, autograd": ("torch_step.py", "eager"),
    "JAX jit, closed form": ("jax_step.py", "closed"),
    "JAX jit, taylor_expand": ("jax_step.py", "taylor"),
}


class Failed(Exception):
    pass


def make_environment():
    wanted = (HERE / "peers" / "requirements.txt").read_text()
    stamp = VENV / "requirements.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("making bench/.venv-peers: JAX, neural-tangents and the CPU build of PyTorch, some 2 GB", file=sys.stderr)
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if subprocess.run(pip + [torch + "+cpu"], stderr=subprocess.DEVNULL).returncode:
        print("no CPU build of torch in pip's sources: taking the default one (set PIP_EXTRA_INDEX_URL for the other)",
              file=sys.stderr)
    subprocess.run(pip + ["-r", HERE / "peers" / "requirements.txt"], check=True)
    stamp.write_text(wanted)


def processors(threads):
    allowed = sorted(os.sched_getaffinity(0))
    if threads > len(allowed):
        raise SystemExit(f"--threads: {threads} asked for, {len(allowed)} processors here")
    return set(allowed[-threads:])


def limits(threads, memory):
    """What a child sets on itself: its processors, and the memory that it may ask for."""
    def apply():
        os.sched_setaffinity(0, processors(threads))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    return apply


class Entk:
    """A process a turn: entk starts in a fraction of a second."""
    name = "entk"

    def __init__(self, program, size, threads, memory, piece="step"):
        self.command = [program, "bench", "--pieces", piece, "--sizes", "x".join(map(str, size)),
                        "--threads", str(threads), "--json"]
        self.limits, self.peak, self.gflops = limits(threads, memory), 0, 0.0

    def turn(self, seconds):
        done = subprocess.run(self.command + ["--seconds", str(seconds)], capture_output=True, text=True,
                              preexec_fn=self.limits)
        if done.returncode:
            raise Failed(done.stderr.strip() or f"exit {done.returncode}")
        result = json.loads(done.stdout)
        self.peak = max(self.peak, result["peak_memory_bytes"])
        self.gflops = max(self.gflops, result["peaks"][0]["gflops"])  # a peak is what nothing disturbed
        row = result["rows"][0]
        return [row["low"], row["seconds"], row["high"]]

    def finish(self):
        pass


class Peer:
    """A process that stays: it compiles once and waits for its turns."""

    def __init__(self, name, size, threads, memory, program=None):
        self.name, self.peak, self.start = name, 0, 0
        script, form = program or PEERS[name]
        # PyTorch's and BLAS's own settings of the caller's shell would decide what is measured.
        environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
        environment.update(TORCHINDUCTOR_CACHE_DIR=str(VENV / "inductor"), JAX_PLATFORMS="cpu",
                           PYTHONPATH=str(HERE / "peers"), PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="ignore")
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [VENV / "bin" / "python", HERE / "peers" / script, form, *map(str, size), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment,
            preexec_fn=limits(threads, memory))
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise Failed((self.errors.read().strip().splitlines() or [f"exit {self.process.returncode}"])[-1])
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def turn(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer()["times"]

    def finish(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            with contextlib.suppress(Failed):
                answer = self.answer()
                self.peak, self.start = answer["peak_bytes"], answer["start_bytes"]
        self.process.kill()
        self.process.wait()


def text_table(header, rows):
    cells = [header] + [[str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|"] + lines[1:])


def take_turns(programs, arguments):
    """The times of each by its name, the programs one after the other, again and again; then they end."""
    times = {program.name: [] for program in programs}
    for _ in range(arguments.turns):
        for program in programs:
            times[program.name] += program.turn(arguments.seconds)
    for program in programs:
        program.finish()
    return times


def versions(entk):
    found = subprocess.run([VENV / "bin" / "python", "-c",
                            "import importlib.metadata as m; print(*(p + ' ' + m.version(p) for p in "
                            "('torch', 'jax', 'jaxlib', 'neural-tangents')), sep=', ')"],
                           capture_output=True, text=True, check=True).stdout.strip()
    own = subprocess.run([entk, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{own}\npeers: Python {platform.python_version()}, {found}\n{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC"


def compare(arguments):
    rows = []
    for size in arguments.sizes:
        for threads in arguments.threads:
            n, d, m = size
            entk = Entk(arguments.entk, size, threads, arguments.memory)
            programs, failures = [entk], {}
            for name in PEERS:
                try:
                    programs.append(Peer(name, size, threads, arguments.memory))
                except Failed as failure:
                    failures[name] = str(failure)
            times = take_turns(programs, arguments)
            own = statistics.median(times["entk"])
            for program in programs:
                step = statistics.median(times[program.name])
                rows.append({"program": program.name, "n": n, "d": d, "m": m, "threads": threads, "ms": 1e3 * step,
                             "times_entk": step / own, "of_peak": 4e-9 * n * d * m / step / entk.gflops,
                             "peak_memory_mb": program.peak / 1e6, "steps": len(times[program.name])})
            for name, reason in failures.items():
                print(f"{name} at {size}: {reason}", file=sys.stderr)
            print(f"{size}, {threads} threads: done", file=sys.stderr)
    header = ["program", "n", "d", "m", "threads", "ms a step", "times entk's", "of measured peak", "peak memory, MB"]
    print(text_table(header, [[r["program"], r["n"], r["d"], r["m"], r["threads"], f"{r['ms']:.1f}",
                               f"{r['times_entk']:.2f}", f"{100 * r['of_peak']:.0f}%", f"{r['peak_memory_mb']:.0f}"]
                              for r in rows]))
    return rows


def compare_mlp(arguments):
    rows = []
    for piece, (size, peers) in MLP.items():
        for threads in arguments.threads:
            entk = Entk(arguments.entk, size, threads, arguments.memory, piece)
            programs = [entk] + [Peer(name, size, threads, arguments.memory, program) for name, program in peers.items()]
            times = take_turns(programs, arguments)
            own = statistics.median(times["entk"])
            for program in programs:
                taken = statistics.median(times[program.name])
                rows.append({"piece": piece, "program": program.name, "n": size[0], "threads": threads, "ms": 1e3 * taken,
                             "times_entk": taken / own, "peak_memory_mb": program.peak / 1e6,
                             "imported_mb": getattr(program, "start", 0) / 1e6, "calls": len(times[program.name])})
    print(text_table(["piece", "program", "n", "threads", "ms", "times entk's", "peak memory, MB", "of which imported"],
                     [[r["piece"], r["program"], r["n"], r["threads"], f"{r['ms']:.1f}", f"{r['times_entk']:.2f}",
                       f"{r['peak_memory_mb']:.0f}", f"{r['imported_mb']:.0f}" if r["imported_mb"] else ""]
                      for r in rows]))
    return rows


def grow(arguments):
    """One row for each program, axis and size, until a program runs out of its memory or takes too long."""
    rows = []
    for axis, sizes in GROWTH.items():
        for name in ["entk", *PEERS]:
            for value in sizes:
                n, d, m = (value if axis == a else base for a, base in zip("ndm", FIGURE_1))
                threads = arguments.threads[-1]
                try:
                    program = (Entk(arguments.entk, (n, d, m), threads, arguments.memory) if name == "entk"
                               else Peer(name, (n, d, m), threads, arguments.memory))
                    step = statistics.median(program.turn(arguments.seconds))
                    program.finish()
                except Failed as failure:
                    print(f"{name} ends at {axis} = {value}: {failure}", file=sys.stderr)
                    break
                rows.append({"axis": axis, "program": name, "n": n, "d": d, "m": m, "threads": threads,
                             "seconds": step, "peak_memory_bytes": program.peak})
                print(f"{name}, {axis} = {value}: {1e3 * step:.1f} ms, {program.peak / 1e6:.0f} MB", file=sys.stderr)
                if step > SLOWEST_STEP:
                    break
    return rows


# SciPy's, in float32: numpy's works in float64 whatever it is given, and would take 24 GB at Figure 1's size.
SVD = """
import json, sys, time, numpy as np, scipy.linalg, problem
n, d, m = map(int, sys.argv[1:])
p = problem.make(n, d, m)
s1, x = p["s1"].astype(np.float32), p["x"].astype(np.float32)
features = (s1[:, :, None] * x[:, None, :]).reshape(n, m * d)
begun = time.perf_counter()
scipy.linalg.svd(features, full_matrices=False, overwrite_a=True, check_finite=False)
print(json.dumps(time.perf_counter() - begun))
"""


def projector(arguments):
    size = [str(v) for v in arguments.sizes[0]]
    threads = arguments.threads[-1]
    command = [arguments.entk, "bench", "--pieces", "projector", "--sizes", "x".join(size), "--threads", str(threads),
               "--json"]
    own = json.loads(subprocess.run(command, capture_output=True, text=True, check=True,
                                    preexec_fn=limits(threads, arguments.memory)).stdout)["rows"][0]["seconds"]
    environment = {**{k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}, "PYTHONPATH": str(HERE / "peers")}
    done = subprocess.run([VENV / "bin" / "python", "-c", SVD, *size], capture_output=True, text=True, env=environment,
                          preexec_fn=limits(threads, arguments.memory))
    if done.returncode:
        raise SystemExit(f"SciPy's SVD: {(done.stderr.strip().splitlines() or ['killed'])[-1]}; see --memory-limit")
    svd = json.loads(done.stdout)
    print(f"projector at n, d, m = {', '.join(size)}, {threads} threads: entk {own:.3f} s, SciPy's SVD of the "
          f"{size[0]} x md features {svd:.1f} s, {svd / own:.0f} times as long")
    return [{"n": size[0], "d": size[1], "m": size[2], "threads": threads, "entk_seconds": own, "svd_seconds": svd}]


def read_size(text):
    size = tuple(int(v) for v in text.split("x"))
    if len(size) != 3:
        raise argparse.ArgumentTypeError(f"expected n x d x m, as 1000x100x10000, got '{text}'")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entk", default=HERE.parent / "build" / "entk", type=Path, help="the program [build/entk]")
    parser.add_argument("--sizes", nargs="+", type=read_size, default=SIZES, metavar="NxDxM")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=5, help="of each program [5]")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each turn, at least [0.5]")
    parser.add_argument("--memory-limit", type=float, default=8, metavar="GB", help="of each process [8]")
    parser.add_argument("--growth", action="store_true", help="time and memory against n, d and m")
    parser.add_argument("--projector", action="store_true", help="the projector beside an SVD of the features")
    parser.add_argument("--mlp", action="store_true", help="a three-layer network's expansion and NTK, at their own sizes")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the numbers, and --growth's plot")
    arguments = parser.parse_args()
    arguments.memory = int(arguments.memory_limit * 1e9)
    for threads in arguments.threads:
        processors(threads)
    if not arguments.entk.exists():
        raise SystemExit(f"{arguments.entk}: not there; ./setup.sh builds it, or --entk names another")
    if arguments.growth and not arguments.out:
        raise SystemExit("--growth needs --out DIR for its plot")
    if arguments.out:
        arguments.out.mkdir(parents=True)
    make_environment()
    where = versions(arguments.entk)
    print(where)
    what = (grow if arguments.growth else projector if arguments.projector else compare_mlp if arguments.mlp else compare)
    rows = what(arguments)
    if arguments.out:
        (arguments.out / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
        (arguments.out / "versions.txt").write_text(where + "\n")
        if arguments.growth:
            subprocess.run([arguments.entk, "bench", "--growth", arguments.out / "results.json"], check=True)


if __name__ == "__main__":
    main()
