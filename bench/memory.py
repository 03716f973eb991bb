#!/usr/bin/env python3
"""Peak memory of runs of a few steps beside entk's estimate of it: prints the table of docs/testing.md.

    bench/memory.py [--program build/entk] [--only NAME] [--threads N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

R3 = {"lambda.3": 10}
MLP = {"model.kind": "mlp", "data.dimension": 20, "data.test_samples": 100, "projector.source": "none"}
CASES = {
    "Figure 1, published": R3,
    "Figure 1, quick": R3 | {"data.samples": 354, "data.dimension": 50, "model.width": 2000, "data.test_samples": 2000,
                             "projector.rank": 51},
    "Figure 1, float64": R3 | {"dtype": "float64"},
    "tables recomputed": R3 | {"train.kernel": "recompute"},
    "order 3, R4": R3 | {"model.order": 3, "lambda.4": 0.01},
    "order 4, reference, wide": {"model.order": 4, "train.kernel": "reference", "model.width": 200000,
                                 "data.dimension": 50, "data.samples": 300, "data.test_samples": 1000,
                                 "projector.rank": 51},
    "wide, plain start, noise": {"model.width": 200000, "model.initialisation": "plain", "data.dimension": 50,
                                  "data.samples": 100, "data.test_samples": 1000, "projector.rank": 51,
                                  "train.noise_variance": 0.1},
    "whole network": R3 | {"model.whole_network": True, "data.samples": 2000},
    "many samples": R3 | {"data.samples": 6000, "data.dimension": 20, "model.width": 1000, "projector.rank": 21},
    "large dimension": R3 | {"data.dimension": 2000, "data.samples": 500, "model.width": 3000, "projector.rank": 100,
                             "data.test_samples": 2000},
    "harmonic, n_2": R3 | {"data.dimension": 60, "projector.source": "harmonic", "projector.rank": 1890,
                           "data.test_samples": 2000},
    "population R1 and R2": R3 | {"data.dimension": 40, "projector.rank": 41, "projector.population_degree": 2,
                                  "model.width": 2000},
    "unlabeled": R3 | {"lambda.1": 1, "projector.source": "unlabeled", "data.unlabeled_samples": 4000,
                       "model.width": 3000},
    "mlp, order 1, wide": MLP | {"model.width": 1000, "data.samples": 300, "model.order": 1},
    "mlp, order 2, wide": MLP | {"model.width": 1000, "data.samples": 300},
    "mlp, order 2, many samples": MLP | {"model.width": 200, "data.samples": 4000},
    "mlp, order 3": MLP | {"model.width": 600, "data.samples": 2000, "model.order": 3},
    "mlp itself": MLP | {"model.width": 800, "data.samples": 1000, "model.whole_network": True},
    "convolutional": MLP | {"model.kind": {"name": "convolutional", "blocks": 2, "channels": 16},
                            "data.dimension": 256, "data.samples": 400, "train.learning_rate": 0.1},
    "R1 on fresh points": R3 | {"lambda.1": 1, "r1.points": "fresh", "r1.samples": 4000, "model.width": 4000},
}


def peak_and_estimate(program, sets, steps, threads):
    """Bytes: VmHWM of the program over the whole run, and what environment.json has."""
    with tempfile.TemporaryDirectory() as folder:
        words = [program, "train", "--quiet", "--force", "--device", "cpu", "--threads", str(threads)]
        words += ["--out", folder + "/run"]
        for key, value in (sets | {"train.steps": steps}).items():
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        with open(folder + "/output", "w+") as output:
            child = subprocess.Popen(words, stdout=output, stderr=output)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = status
            if status:
                sys.exit(f"{' '.join(words)}\n{open(folder + '/output').read()}")
        environment = json.load(open(folder + "/run/environment.json"))
        return usage.ru_maxrss * 1024, environment.get("estimated_peak_bytes", 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/entk")
    parser.add_argument("--only", default="")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| run | measured, MB | estimated, MB | off |\n|---|---|---|---|")
    for name, sets in CASES.items():
        if options.only not in name:
            continue
        measured, estimated = peak_and_estimate(options.program, sets, options.steps, options.threads)
        off = 100 * (estimated / measured - 1)
        print(f"| {name} | {measured / 1e6:.0f} | {estimated / 1e6:.0f} | {off:+.0f}% |", flush=True)


if __name__ == "__main__":
    main()
