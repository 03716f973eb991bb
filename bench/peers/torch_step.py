"""PyTorch on one full-batch step of f_L + f_Q with the square loss and R3: torch_step.py FORM n d m threads.

FORM: eager, ordinary autograd; compiled, the gradient written by hand under torch.compile, the
fastest of its forms on the CPU.
"""
import sys

import torch

import problem
from serve import serve


def build():
    form, (n, d, m, threads) = sys.argv[1], map(int, sys.argv[2:6])
    torch.set_num_threads(threads)
    p = {k: torch.from_numpy(v) for k, v in problem.make(n, d, m).items() if k not in ("w0", "a")}
    x, y, s1, s2, basis = p["x"], p["y"], p["s1"], p["s2"], p["basis"]
    weight = problem.R3_WEIGHT

    def objective(w):
        z = x @ w
        linear = (s1 * z).sum(1)
        output = linear + 0.5 * (s2 * z * z).sum(1)
        high = linear - basis @ (basis.T @ linear)
        return (output - y).square().mean() + weight * high.square().mean()

    def by_hand(w):
        z = x @ w
        curved = s2 * z
        linear = (s1 * z).sum(1)
        residual = linear + 0.5 * (curved * z).sum(1) - y
        high = linear - basis @ (basis.T @ linear)
        to_output = (2 / n) * residual
        to_linear = to_output + (2 * weight / n) * high
        gradient = x.T @ (to_linear[:, None] * s1 + to_output[:, None] * curved)
        return w - gradient, residual.square().mean() + weight * high.square().mean()

    state = {"w": torch.zeros(d, m)}

    def eager():
        w = state["w"].requires_grad_(True)
        loss = objective(w)
        loss.backward()
        with torch.no_grad():
            state["w"] = w - w.grad
        return loss.item()

    fused = torch.compile(by_hand)

    def compiled():
        with torch.no_grad():
            state["w"], loss = fused(state["w"])
        return loss.item()

    return {"eager": eager, "compiled": compiled}[form]


serve(build)
