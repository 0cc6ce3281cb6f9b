#!/usr/bin/env python3
"""Scores of `wgrad train` on small tables, beside those of scikit-learn's nets of the same shape.

    bench/tables.py FOLDER [--wgrad target/release/wgrad] [--seeds 5] [--only NAME,...]

FOLDER holds penguins.csv, iris.csv, wine_data.csv, breast_cancer.csv, diabetes_*.csv.gz, concrete.csv and
diamonds.csv.gz, as palmerpenguins, scikit-learn, modeldata and plotnine ship them. Both sides learn from the same
four fifths of the rows and are scored on the same fifth. Needs pandas and scikit-learn. scikit-learn's nets get
standardised numbers, one-hot categories and a standardised target, and train for as long as they do by default,
and for five times as long; the better of the two, in the mean over the splits, is compared with.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pandas
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def bundled(path):
    """A table of scikit-learn's, whose first line counts rows and features and names the classes."""
    with open(path) as file:
        classes = file.readline().strip().split(",")[2:]
    table = pandas.read_csv(path, skiprows=1, header=None)
    table.columns = [f"x{i}" for i in range(table.shape[1] - 1)] + ["target"]
    table["target"] = [classes[i] for i in table["target"]]
    return table, "target"


def diabetes(folder):
    table = pandas.read_csv(folder / "diabetes_data_raw.csv.gz", sep=" ", header=None)
    table.columns = [f"x{i}" for i in range(table.shape[1])]
    table["target"] = pandas.read_csv(folder / "diabetes_target.csv.gz", header=None)[0]
    return table, "target"


TABLES = {
    "penguins": lambda f: (pandas.read_csv(f / "penguins.csv"), "species"),
    "iris": lambda f: bundled(f / "iris.csv"),
    "wine": lambda f: bundled(f / "wine_data.csv"),
    "breast cancer": lambda f: bundled(f / "breast_cancer.csv"),
    "diabetes": diabetes,
    "concrete": lambda f: (pandas.read_csv(f / "concrete.csv"), "compressive_strength"),
    "diamonds": lambda f: (pandas.read_csv(f / "diamonds.csv.gz"), "price"),
}


def theirs(train, test, target, classes, hidden, seed, iterations):
    x, y = train.drop(columns=target), train[target]
    words = [c for c in x if x[c].dtype.kind not in "iuf"]
    numbers = [c for c in x if c not in words]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")), words),
    )
    options = dict(hidden_layer_sizes=hidden, random_state=seed, max_iter=iterations)
    if classes:
        net = MLPClassifier(**options)
    else:
        net = TransformedTargetRegressor(MLPRegressor(**options), transformer=StandardScaler())
    model = make_pipeline(columns, net).fit(x, y)
    return model.score(test.drop(columns=target), test[target])


def ours(wgrad, folder, train, test, target, seed):
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    command = [wgrad, "train", "train.csv", "--target", target, "--seed", str(seed), "--quiet"]
    command += ["--json", "train.json", "--output", "m.wgrad", "--validation", "0.02"]
    subprocess.run(command, cwd=folder, check=True)
    command = [wgrad, "evaluate", "m.wgrad", "test.csv", "--quiet", "--json", "test.json"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    figures = json.loads((folder / "train.json").read_text())
    return json.loads((folder / "test.json").read_text())["score"], figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wgrad", default="target/release/wgrad")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default=",".join(TABLES))
    args = parser.parse_args()
    wgrad = str(Path(args.wgrad).resolve())
    warnings.filterwarnings("ignore")
    worst = 1.0
    print(f"{'table':14} {'wgrad':>7} {'sklearn':>7} {'(200)':>7} {'(1000)':>7}  shape, epochs, seconds")
    for name in args.only.split(","):
        table, target = TABLES[name](args.folder)
        classes = table[target].dtype.kind not in "iuf"
        scores = {"ours": [], 200: [], 1000: []}
        for seed in range(args.seeds):
            stratify = table[target] if classes else None
            train, test = train_test_split(table, test_size=0.2, random_state=seed, stratify=stratify)
            with tempfile.TemporaryDirectory() as folder:
                score, figures = ours(wgrad, Path(folder), train, test, target, seed)
            scores["ours"].append(score)
            hidden = tuple(figures["hidden"])
            for iterations in (200, 1000):
                scores[iterations].append(theirs(train, test, target, classes, hidden, seed, iterations))
        mean = {key: statistics.mean(values) for key, values in scores.items()}
        best = max(mean[200], mean[1000])
        worst = min(worst, mean["ours"] / best)
        shape = "-".join(map(str, hidden))
        print(f"{name:14} {mean['ours']:7.4f} {best:7.4f} {mean[200]:7.4f} {mean[1000]:7.4f}  "
              f"{shape}, {figures['epochs']}, {figures['seconds']:.1f}", flush=True)
    print(f"the least share of scikit-learn's score: {worst:.4f}")
    sys.exit(worst < 0.99)


if __name__ == "__main__":
    main()
