"""neural-tangents on a network of three layers, d → m → m → 1, all of whose parameters are trained, in float32:
jax_mlp.py FORM n d m threads.

FORM: step, one full-batch step of taylor_expand to second order with the square loss; structured, the empirical NTK at
the n points by structured derivatives. Both compiled by jit. The number of threads is what the process may run on.
"""
import sys

import jax
import jax.interpreters.ad
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
from jax._src import source_info_util

from serve import serve

# neural-tangents 0.6.5 looks for these there, where JAX 0.4.35 has them no more.
jax.interpreters.ad.config, jax.interpreters.ad.source_info_util = jax.config, source_info_util


def build():
    form, (n, d, m) = sys.argv[1], map(int, sys.argv[2:5])
    random = np.random.default_rng(1)
    draw = lambda *shape: random.standard_normal(shape, dtype=np.float32)
    x = draw(n, d)
    x *= np.sqrt(d, dtype=np.float32) / np.linalg.norm(x, axis=1, keepdims=True)
    x, y = jnp.asarray(x), jnp.asarray(x[:, 0])
    start = tuple(map(jnp.asarray, (draw(d, m), draw(m, m), draw(m, 1))))

    def network(parameters, points):
        first, second, last = parameters
        h = jnp.tanh(points @ first / np.sqrt(d))
        h = jnp.tanh(h @ second / np.sqrt(m))
        return h @ last / np.sqrt(m)

    if form == "structured":
        kernel = jax.jit(nt.empirical_ntk_fn(network, trace_axes=(-1,), vmap_axes=0,
                                             implementation=nt.NtkImplementation.STRUCTURED_DERIVATIVES))
        return lambda: float(jax.block_until_ready(kernel(x, None, start))[0, 0])

    expansion = nt.taylor_expand(network, start, 2)

    def loss(parameters):
        return jnp.square(expansion(parameters, x)[:, 0] - y).mean()

    @jax.jit
    def descend(parameters):
        value, gradient = jax.value_and_grad(loss)(parameters)
        return jax.tree_util.tree_map(lambda w, g: w - 0.01 * g, parameters, gradient), value

    state = {"w": start}

    def step():
        state["w"], value = jax.block_until_ready(descend(state["w"]))
        return float(value)

    return step


serve(build)
