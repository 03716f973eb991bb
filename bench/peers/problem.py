"""The problem that every peer steps on: Figure 1 of the paper at any size, in float32.

X: n×d on the sphere of radius √d; W0, W: d×m here, the layout that suits their matrix products best;
S1, S2: tables m^(-1/2) a_r σ'(w0_r·x), m^(-1/2) a_r σ''(w0_r·x) of σ(z) = sigmoid(z − 1). The projector of
R3 is the one on span{X, 1}, the linear harmonics: a step costs the same whatever the basis.
"""
import numpy as np

R3_WEIGHT = 10.0


def make(n, d, m, tables=True):
    random = np.random.default_rng(1)
    half = random.standard_normal((d, m // 2), dtype=np.float32)
    half /= np.linalg.norm(half, axis=0)
    a = np.concatenate([np.ones(m // 2, np.float32), -np.ones(m // 2, np.float32)])
    x = random.standard_normal((n, d), dtype=np.float32)
    x *= np.sqrt(d, dtype=np.float32) / np.linalg.norm(x, axis=1, keepdims=True)
    direction = random.standard_normal(d, dtype=np.float32)
    t = x @ (direction / np.linalg.norm(direction))
    basis, _ = np.linalg.qr(np.concatenate([x, np.ones((n, 1), np.float32)], 1))
    problem = {"x": x, "y": (t * t - 1 + t) / np.float32(np.sqrt(3)), "a": a, "basis": basis,
               "w0": np.concatenate([half, half], 1)}
    if tables:
        s = 1 / (1 + np.exp(np.float32(1) - x @ half))
        s1 = s * (1 - s) / np.sqrt(np.float32(m))
        s2 = s1 * (1 - 2 * s)
        problem["s1"] = np.concatenate([s1, -s1], 1)
        problem["s2"] = np.concatenate([s2, -s2], 1)
    return {k: np.ascontiguousarray(v, np.float32) for k, v in problem.items()}
