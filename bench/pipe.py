#!/usr/bin/env python3
"""Rows from a pipe to predictions: `wgrad predict`, beside pandas and onnxruntime on the same cores.

    bench/pipe.py [--wgrad target/release/wgrad] [--rows 1000000] [--rounds 3] [--chunk 50000]

Makes a table of ten columns of numbers and two of words, of which some are missing, trains a net of it for three
epochs, and exports it with its encoder. Then both sides in turn, each as a process of its own with the rows from a
pipe and the classes into a file. The clock runs from the start of the process to its end: reading CSV, encoding,
predicting and writing CSV are in it. Memory is the most that the process held (VmHWM), on Linux.
Needs pandas 3.1.1, onnxruntime 1.32.0 and numpy 2.4.6.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas

THEIRS = """
import sys, numpy, onnxruntime, pandas
path, chunk = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
words = {value.name: "string" in value.type for value in session.get_inputs()}
types = {name: str if is_word else numpy.float64 for name, is_word in words.items()}
print("kind")
for rows in pandas.read_csv(sys.stdin, chunksize=chunk, dtype=types, keep_default_na=True):
    feed = {}
    for name, is_word in words.items():
        column = rows[name].fillna("") if is_word else rows[name]
        feed[name] = column.to_numpy(object if is_word else numpy.float64).reshape(-1, 1)
    label = session.run(["label"], feed)[0]
    pandas.Series(label).to_csv(sys.stdout, index=False, header=False)
"""


def table(rows, seed):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 10)) * np.logspace(-2, 3, 10) + np.arange(10)
    columns = {f"x{i}": x[:, i].round(4) for i in range(10)}
    columns["x3"] = np.where(draw.random(rows) < 0.05, np.nan, columns["x3"])
    words = np.array(["red", "blue", "green", "", "white"])
    columns["colour"] = words[draw.integers(0, 5, rows)]
    columns["place"] = np.array([f"place {i}" for i in range(20)])[draw.integers(0, 20, rows)]
    at = (x[:, 0] > 0).astype(int) + (x[:, 9] / 1000 + (columns["colour"] == "red") > 0.5)
    return pandas.DataFrame(columns), np.array(["a", "b", "c"])[at]


def timed(command, rows, output):
    """Seconds of a process that reads `rows` from a pipe, and its peak memory in MiB."""
    start = time.monotonic()
    with open(output, "w") as out:
        source = subprocess.Popen(["cat", rows], stdout=subprocess.PIPE)
        process = subprocess.Popen(command, stdin=source.stdout, stdout=out, stderr=subprocess.DEVNULL)
        source.stdout.close()
        # What wait4 says is at least what this process held when it made the other.
        held = 0.0
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            if "VmHWM:" in status:
                held = max(held, int(status.split("VmHWM:")[1].split()[0]) / 1024)
            time.sleep(0.01)
    source.wait()
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed: {process.returncode}")
    return time.monotonic() - start, held


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wgrad", default="target/release/wgrad")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=50_000)
    args = parser.parse_args()
    wgrad = str(Path(args.wgrad).resolve())
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        known, kinds = table(5_000, 0)
        known.assign(kind=kinds).to_csv(folder / "train.csv", index=False)
        table(args.rows, 1)[0].to_csv(folder / "rows.csv", index=False)
        for command in (["train", "train.csv", "--target", "kind", "--epochs", "3", "--quiet"],
                        ["export", "kind.wgrad", "--onnx", "kind.onnx"]):
            subprocess.run([wgrad, *command], cwd=folder, check=True, stderr=subprocess.DEVNULL)
        sides = {
            "wgrad": [wgrad, "predict", str(folder / "kind.wgrad"), "-", "--quiet"],
            "pandas + onnxruntime": [sys.executable, "-c", THEIRS, str(folder / "kind.onnx"),
                                     str(args.chunk), str(cores)],
        }
        size = (folder / "rows.csv").stat().st_size / 1e6
        print(f"{args.rows} rows, {size:.0f} MB of CSV, {cores} cores, load {os.getloadavg()[0]:.1f}")
        seconds = {side: [] for side in sides}
        memory = {side: 0.0 for side in sides}
        for _ in range(args.rounds):
            for side, command in sides.items():
                took, held = timed(command, folder / "rows.csv", folder / f"{side}.csv")
                seconds[side].append(took)
                memory[side] = max(memory[side], held)
        for side in sides:
            median = statistics.median(seconds[side])
            spread = f"{min(seconds[side]):.2f}-{max(seconds[side]):.2f}"
            print(f"{side:22} {median:7.2f} s ({spread}) {args.rows / median:10.0f} rows/s {memory[side]:6.0f} MiB")
        first, second = (pandas.read_csv(folder / f"{side}.csv")["kind"] for side in sides)
        apart = int((first != second).sum()) if len(first) == len(second) else "all"
        print(f"predictions that differ: {apart}")
        sys.exit(len(first) != args.rows or apart == "all" or apart > args.rows / 100_000)


if __name__ == "__main__":
    main()
