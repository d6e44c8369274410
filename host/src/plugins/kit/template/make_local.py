"""Writes vectors.txt: one step of {{name}} in NumPy, independent of the Rust code."""

import numpy as np

rng = np.random.default_rng(7)

x = rng.normal(size=(4, 3))
weight = rng.normal(size=(2, 3))
y = x @ weight.T
change = np.zeros_like(weight)
for n in range(4):
    for k in range(2):
        change[k] += 0.1 * y[n, k] * (x[n] - y[n, k] * weight[k]) / 4
vectors = {"x": x, "weight": weight, "change": change}

with open("vectors.txt", "w") as file:
    for name, value in vectors.items():
        numbers = " ".join(repr(float(v)) for v in value.ravel())
        file.write(f"{name} {list(value.shape)} {numbers}\n")

