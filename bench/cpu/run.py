#!/usr/bin/env python3
"""W1 to W5 in PyTorch, JAX and Keras (on TensorFlow, its default, and on JAX) on the processor, for
honesty: where the adapter is the processor itself, these are what a person would otherwise use. Same
data, first weights and arithmetic as the workers of bench/; see bench/README.md for what the clock holds.

    python3 -m venv venv && venv/bin/pip install numpy "jax[cpu]" keras tensorflow-cpu
    venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
    venv/bin/python bench/cpu/run.py --rounds 7 --json FILE --beside bench/results/mesa-22.3.json
"""

import argparse
import json
import os
import platform
import statistics
import sys

INSTALL = """Install what is missing, in an environment of its own:
    pip install numpy "jax[cpu]" keras tensorflow-cpu
    pip install torch --index-url https://download.pytorch.org/whl/cpu   (or from PyPI: larger)"""

try:
    import numpy as np
except ImportError:
    sys.exit(f"numpy is missing.\n{INSTALL}")

import data
import frameworks


def net(name, widths, rows, batch, classes=False):
    return dict(name=name, widths=widths, rows=rows, batch=batch, classes=classes, rate=0.05)


NETS = [  # with the number of epochs inside the clock
    (net("W1", [10, 64, 1], 1000, 32), 10),
    (net("W2", [784, 512, 512, 10], 8 * 256, 256, classes=True), 4),
    (net("W3", [32, 64, 64, 64, 64, 16], 4 * 4096, 4096), 16),
    (net("W5", [10, 64, 1], 1000, 1000), 100),
]
PRODUCTS = [  # which factor lies transposed; m, n, k
    ("AB", 256, 256, 256),
    ("AB", 1024, 1024, 1024),
    ("AB", 4096, 64, 64),
    ("AB", 784, 512, 256),
    ("ABt", 784, 512, 256),
    ("AtB", 784, 512, 256),
]
TOLERANCE = 1e-3  # relative, of last losses, as between the workers of bench/


def batches(net):
    x, t = data.samples(net["widths"], net["rows"], net["classes"])
    starts = range(0, net["rows"], net["batch"])
    return [(x[s : s + net["batch"]], t[s : s + net["batch"]]) for s in starts]


def train(framework, net, epochs):
    seconds, loss = framework.train(net, batches(net), epochs)
    steps = epochs * len(range(0, net["rows"], net["batch"]))
    return (seconds * 1e3 if net["name"] == "W1" else steps / seconds), loss


def multiply(framework, layout, m, n, k):
    times = min(max((1 << 29) // (m * n * k), 2), 64)
    a, b = data.uniform(data.FEATURES, m * k), data.uniform(data.NOISE, k * n)
    a = a.reshape(k, m) if layout == "AtB" else a.reshape(m, k)
    b = b.reshape(n, k) if layout == "ABt" else b.reshape(k, n)
    seconds = framework.multiply(layout, a, b, times)
    return 2e-9 * m * n * k * times / seconds, None


def workloads(all_frameworks):
    """Name, unit, and for each framework that can a function of one round."""
    for one, epochs in NETS:
        unit = "ms" if one["name"] == "W1" else "steps/s"
        runs = {f: (lambda f=f: train(f, one, epochs)) for f in all_frameworks}
        yield one["name"], unit, runs
    for layout, m, n, k in PRODUCTS:
        able = [f for f in all_frameworks if hasattr(f, "multiply")]
        runs = {f: (lambda f=f: multiply(f, layout, m, n, k)) for f in able}
        yield f"W4 {layout} {m}x{n}x{k}", "GFLOP/s", runs


def wgrads(file):
    """wgrad's rows in a file of `bench/run --json`, by workload."""
    with open(file) as text:
        return {row["workload"]: row for row in json.load(text) if row["peer"] == "wgrad"}


def ahead(wgrad, row):
    """How many times better wgrad does, as the workers' table has it."""
    ratio = wgrad["median"] / row["median"]
    return ratio if row["unit"].endswith("/s") else 1 / ratio


def agree(name, losses):
    """Whether last losses do, which are the means of the last epoch."""
    first, *others = losses
    apart = [abs(other - first) / abs(first) for other in others]
    if all(one <= TOLERANCE for one in apart):
        return True
    print(f"{name}: last losses DISAGREE: {losses}")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--beside", metavar="FILE", help="wgrad's figures, as bench/run --json wrote them")
    arguments = parser.parse_args()
    beside = wgrads(arguments.beside) if arguments.beside else {}

    present = []
    wanted = (frameworks.Torch, frameworks.Jax, frameworks.KerasOnTensorFlow, frameworks.KerasOnJax)
    for framework in wanted:
        try:
            present.append(framework())
        except ImportError as error:
            print(f"{framework.name} is missing ({error}).", file=sys.stderr)
    if len(present) < len(wanted):
        print(INSTALL, file=sys.stderr)
    if not present:
        sys.exit(1)
    place = f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors"
    print(place, *(f"{f.name} {f.version}" for f in present), sep="; ")
    print(f"{'workload':<24}{'framework':<12}{'median':>11}{'min':>11}{'max':>11}  {'unit':<8}"
          + (f"{'wgrad x':>9}" if beside else ""))

    rows, same = [], True
    for name, unit, runs in workloads(present):
        values, losses = {f: [] for f in runs}, {}
        for round in range(-1, arguments.rounds):  # the first compiles, and does not count
            for framework, run in runs.items():
                value, losses[framework] = run()
                if round >= 0:
                    values[framework].append(value)
        for framework, some in values.items():
            row = dict(
                workload=name, peer=framework.name, median=statistics.median(some), min=min(some),
                max=max(some), unit=unit, rounds=len(some), version=framework.version,
                adapter=place, driver="none: the processor itself",
            )
            loss = losses[framework]
            if loss is not None:
                row["check"] = loss
            rows.append(row)
            shown = "" if loss is None else f"   last loss {loss:.6f}"
            wgrad = beside.get(name)
            ratio = f"{ahead(wgrad, row):>9.2f}" if wgrad else ""
            print(f"{name:<24}{framework.name:<12}{row['median']:>11.4g}{row['min']:>11.4g}"
                  f"{row['max']:>11.4g}  {unit:<8}{ratio}{shown}", flush=True)
        found = [loss for loss in losses.values() if loss is not None]
        # wgrad's check of W2 and W3 is the loss of the last step alone.
        if name in ("W1", "W5") and name in beside:
            found.append(beside[name]["check"])
        same &= not found or agree(name, found)
    if arguments.json:
        with open(arguments.json, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    sys.exit(not same)


if __name__ == "__main__":
    main()
