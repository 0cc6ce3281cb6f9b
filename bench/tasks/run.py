#!/usr/bin/env python3
"""k-means and principal components beside scikit-learn's, on the same cores, in turns.

    cargo build --release -p bench-tasks        (in bench/)
    python3 -m venv venv && venv/bin/pip install numpy scikit-learn threadpoolctl
    venv/bin/python bench/tasks/run.py --rounds 5 --json FILE

Inside the clock is a fit of rows that lie in memory: wgrad's upload, passes, readback and what the host computes;
scikit-learn's `fit`. Both run once before, which does not count (wgrad compiles its kernels then). k-means begins
at the same centres and makes the same number of iterations.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_info

BINARY = os.path.join(os.path.dirname(__file__), "..", "target", "release", "bench-tasks")


def rows_around_centers(rows, columns, centers, seed):
    random = np.random.default_rng(seed)
    around = random.uniform(-1, 1, (centers, columns))
    noise = random.normal(0, 0.5, (rows, columns))
    return (around[random.integers(0, centers, rows)] + noise).astype(np.float32)


def rows_of_few_directions(rows, columns, seed):
    random = np.random.default_rng(seed)
    along = random.normal(size=(rows, 20)) * np.linspace(5, 1, 20)
    noise = random.normal(0, 0.5, (rows, columns))
    return (along @ random.normal(size=(20, columns)) / np.sqrt(columns) + noise).astype(np.float32)


def kmeans(rows, columns, clusters, iterations, folder):
    x = rows_around_centers(rows, columns, clusters, seed=1)
    first = x[:: rows // clusters][:clusters]
    first.tofile(os.path.join(folder, "centers"))

    def by_scikit_learn():
        found = KMeans(clusters, init=first, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(x)
        return {"inertia": found.inertia_, "iterations": found.n_iter_}

    arguments = ["kmeans", clusters, iterations, os.path.join(folder, "centers")]
    return f"k-means of {rows} x {columns} into {clusters}, {iterations} iterations", x, arguments, by_scikit_learn


def pca(rows, columns, components, folder):
    x = rows_of_few_directions(rows, columns, seed=2)

    def by_scikit_learn():
        return {"variance": PCA(components).fit(x).explained_variance_.tolist()}

    return f"PCA of {rows} x {columns}, {components} components", x, ["pca", components], by_scikit_learn


def beside(task, rounds, folder):
    name, x, arguments, by_scikit_learn = task
    file = os.path.join(folder, "rows")
    x.tofile(file)
    command = [BINARY, file, *x.shape, *arguments]
    worker = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    adapter = json.loads(worker.stdout.readline())["adapter"]

    def by_wgrad():
        worker.stdin.write("\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())

    ours, theirs = [], []
    for number in range(rounds + 1):
        found = by_wgrad()
        since = time.perf_counter()
        beside = by_scikit_learn()
        seconds = time.perf_counter() - since
        if number > 0:
            ours.append(found["seconds"])
            theirs.append(seconds)
    worker.stdin.close()
    worker.wait()
    for figure, value in beside.items():
        apart = np.max(np.abs(np.array(found[figure], float) - value) / np.abs(value))
        if apart > 5e-4:
            sys.exit(f"{name}: {figure} lies {apart} apart: {found[figure]} beside {value}")
    ratios = [a / b for a, b in zip(ours, theirs)]
    return {
        "task": name,
        "adapter": adapter,
        "wgrad_s": statistics.median(ours),
        "scikit_learn_s": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["kmeans", "pca"])
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    blas = ", ".join(f"{pool['internal_api']} {pool['version']} ({pool['num_threads']} threads)" for pool in threadpool_info())
    print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, {blas}")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        tasks = []
        if arguments.only != "pca":
            tasks.append(kmeans(1_000_000, 32, 64, 20, folder))
        if arguments.only != "kmeans":
            tasks.append(pca(100_000, 784, 20, folder))
        for task in tasks:
            result = beside(task, arguments.rounds, folder)
            results.append(result)
            spread = " ".join(f"{ratio:.2f}" for ratio in sorted(result["ratios"]))
            print(f"{result['task']} on {result['adapter']}")
            print(f"  wgrad {result['wgrad_s']:.2f} s, scikit-learn {result['scikit_learn_s']:.2f} s,"
                  f" {result['ratio']:.2f} times as long ({spread})")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
