"""Writes vectors.txt: one step of {{name}} in NumPy, independent of the Rust code."""

import numpy as np

rng = np.random.default_rng(7)

x = rng.normal(size=(4, 3))
weight = rng.normal(size=(2, 3))
code = rng.normal(size=(2, 3))
labels = [0, 2, 1, 2]
target = np.eye(3)[labels]
y = x @ weight.T
change = np.zeros_like(weight)
for n in range(4):
    for k in range(2):
        change[k] += 0.1 * (code[k, labels[n]] - y[n, k]) * x[n] / 4
vectors = {"x": x, "weight": weight, "code": code, "target": target, "change": change}

with open("vectors.txt", "w") as file:
    for name, value in vectors.items():
        numbers = " ".join(repr(float(v)) for v in value.ravel())
        file.write(f"{name} {list(value.shape)} {numbers}\n")

