#!/usr/bin/env python3
"""Samplers of `biorule sweep` beside Optuna's on functions whose minimum is known.

    python3 -m venv v && v/bin/pip install 'optuna>=5,<6' cmaes
    v/bin/python ci/samplers-beside-optuna.py target/release/biorule

Ours are asked and told through the lines that `--sampler` speaks, one trial after the other. Each row is
the mean and the standard deviation over 10 seeds of the least value found; smaller is better.
"""

import json
import math
import statistics
import subprocess
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
SEEDS = range(10)


def mixed(p):
    rule = {"a": 0.3, "b": 0.0, "c": 0.5}[p["rule"]]
    return (
        (math.log10(p["lr"]) + 2.5) ** 2
        + ((p["n"] - 40) / 20) ** 2
        + (4 * (p["drop"] - 0.1)) ** 2
        + rule
    )


MIXED = {
    "lr": {"low": 1e-5, "high": 1.0, "log": True},
    "n": {"low": 1, "high": 64, "int": True},
    "drop": {"low": 0.0, "high": 0.5, "int": False},
    "rule": {"choices": ["a", "b", "c"]},
}
FIVE = {name: {"low": -5.0, "high": 5.0, "int": False} for name in "abcde"}


def of(f):
    return lambda p: f([p[name] for name in "abcde"])


FUNCTIONS = [
    ("mixed, 60 trials", MIXED, mixed, 60, ["random", "tpe"]),
    ("sphere, 200", FIVE, of(lambda x: sum((v - 1) ** 2 for v in x)), 200, ["random", "tpe", "cma"]),
    (
        "ellipsoid, 200",
        FIVE,
        of(lambda x: sum(10**i * (v - 1) ** 2 for i, v in enumerate(x))),
        200,
        ["random", "tpe", "cma"],
    ),
    (
        "rosenbrock, 200",
        FIVE,
        of(lambda x: sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))),
        200,
        ["random", "tpe", "cma"],
    ),
]


def ours(program, kind, space, f, trials, seed):
    study = {
        "name": "f",
        "seed": seed,
        "trials": trials,
        "parallel": 1,
        "sampler": {"kind": "random"},
        "pruner": {"kind": "none"},
        "objectives": [{"metric": "f", "direction": "min", "at": "last"}],
        "parameters": space,
    }
    child = subprocess.Popen(
        [program, "sweep", "sampler", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )

    def talk(line, answers=True):
        child.stdin.write(json.dumps(line) + "\n")
        child.stdin.flush()
        return json.loads(child.stdout.readline()) if answers else None

    assert talk({"op": "start", "protocol": 1, "study": study}) == {"ok": True}
    best = math.inf
    for n in range(trials):
        params = talk({"op": "ask", "trial": n})["params"]
        value = f(params)
        best = min(best, value)
        told = {"op": "tell", "trial": n, "params": params, "state": "finished", "values": [value]}
        talk(told, answers=False)
    child.stdin.close()
    child.wait()
    return best


def theirs(kind, space, f, trials, seed):
    sampler = {
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True),
        "cma": lambda: optuna.samplers.CmaEsSampler(seed=seed),
    }[kind]()

    def objective(trial):
        p = {}
        for name, one in space.items():
            if "choices" in one:
                p[name] = trial.suggest_categorical(name, one["choices"])
            elif one["int"] if "int" in one else False:
                p[name] = trial.suggest_int(name, one["low"], one["high"])
            else:
                p[name] = trial.suggest_float(name, one["low"], one["high"], log=one.get("log", False))
        return f(p)

    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return study.best_value


def main():
    program = sys.argv[1]
    print("| function | sampler | here | Optuna |\n| --- | --- | --- | --- |")
    for name, space, f, trials, kinds in FUNCTIONS:
        for kind in kinds:
            cells = []
            for run in (
                lambda seed: ours(program, kind, space, f, trials, seed),
                lambda seed: theirs(kind, space, f, trials, seed),
            ):
                values = [run(seed) for seed in SEEDS]
                cells.append(f"{statistics.mean(values):.3g} ± {statistics.stdev(values):.2g}")
            print(f"| {name} | `{kind}` | {cells[0]} | {cells[1]} |", flush=True)


main()
