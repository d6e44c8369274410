"""Writes vectors.txt: one step of {{name}} in NumPy, independent of the Rust code."""

import numpy as np

rng = np.random.default_rng(7)

x = rng.normal(size=(4, 3))
weight = rng.normal(size=(2, 3))
feedback = rng.normal(size=(2, 3))
error = rng.normal(size=(4, 2))
gradient = sum(np.outer(error[n], x[n]) for n in range(4))
below = np.stack([sum(error[n, k] * feedback[k] for k in range(2)) for n in range(4)])
vectors = {
    "x": x, "weight": weight, "feedback": feedback, "error": error,
    "gradient": gradient, "below": below,
}

with open("vectors.txt", "w") as file:
    for name, value in vectors.items():
        numbers = " ".join(repr(float(v)) for v in value.ravel())
        file.write(f"{name} {list(value.shape)} {numbers}\n")

