"""JAX on one full-batch step of f_L + f_Q with the square loss and R3: jax_step.py FORM n d m threads.

FORM: closed, the closed form (12) on tables; taylor, neural_tangents.taylor_expand of the network, as the
paper ran it. Both compiled by jit. The number of threads is what the process may run on.
"""
import sys

import jax
import jax.numpy as jnp
import neural_tangents as nt

import problem
from serve import serve


def build():
    form, (n, d, m, _) = sys.argv[1], map(int, sys.argv[2:6])
    p = {k: jnp.asarray(v) for k, v in problem.make(n, d, m, tables=form == "closed").items()}
    x, y, basis = p["x"], p["y"], p["basis"]

    def objective(linear, output):
        high = linear - basis @ (basis.T @ linear)
        return jnp.square(output - y).mean() + problem.R3_WEIGHT * jnp.square(high).mean()

    def closed(w):
        z = x @ w
        linear = (p["s1"] * z).sum(1)
        return objective(linear, linear + 0.5 * (p["s2"] * z * z).sum(1))

    def network(w, points):
        return (jax.nn.sigmoid(points @ (p["w0"] + w) - 1) * p["a"]).sum(1) / jnp.sqrt(m)

    first = nt.taylor_expand(network, jnp.zeros_like(p["w0"]), 1)
    second = nt.taylor_expand(network, jnp.zeros_like(p["w0"]), 2)

    def taylor(w):
        return objective(first(w, x), second(w, x))

    loss = {"closed": closed, "taylor": taylor}[form]

    @jax.jit
    def descend(w):
        value, gradient = jax.value_and_grad(loss)(w)
        return w - gradient, value

    state = {"w": jnp.zeros((d, m), jnp.float32)}

    def step():
        state["w"], value = jax.block_until_ready(descend(state["w"]))
        return float(value)

    return step


serve(build)
