"""Writes clusterings.json: k-means and PCA of four small tables by scikit-learn, as they are and with 10^5 added to
every number. Needs scikit-learn 1.5.2 and numpy 1.26.4:

    python -m venv venv && venv/bin/pip install scikit-learn==1.5.2 numpy==1.26.4
    venv/bin/python tests/goldens/sklearn/make.py
"""

import json
import pathlib

import numpy as np
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

ALPHABET = "0123456789"


def tables():
    yield "iris", datasets.load_iris().data, 3
    yield "wine", datasets.load_wine().data, 3
    yield "breast cancer", datasets.load_breast_cancer().data, 2
    yield "digits", datasets.load_digits().data, 10


def k_means(x, starts):
    fitted = KMeans(len(starts), init=x[starts], n_init=1, tol=0, algorithm="lloyd").fit(x)
    return {
        "labels": "".join(ALPHABET[label] for label in fitted.labels_),
        "inertia": fitted.inertia_,
        "iterations": fitted.n_iter_,
    }


def components(x):
    fitted = PCA(svd_solver="full").fit(x)
    few = min(4, x.shape[1])
    return {
        "variance": fitted.explained_variance_.tolist(),
        "ratio": fitted.explained_variance_ratio_.tolist(),
        "components": fitted.components_[:few].tolist(),
        "transformed": fitted.transform(x)[:5, :few].tolist(),
        "whitened": PCA(few, svd_solver="full", whiten=True).fit(x).transform(x)[:5].tolist(),
    }


def main():
    made = {}
    for name, data, clusters in tables():
        starts = [int(row) for row in np.linspace(0, len(data) - 1, clusters)]
        table = {"columns": data.shape[1], "clusters": clusters, "starts": starts}
        # The repository has the digits already.
        if name != "digits":
            table["rows"] = data.ravel().tolist()
        for offset in (0, 100_000):
            x = (data.astype(np.float32) + np.float32(offset)).astype(np.float32).astype(np.float64)
            table[str(offset)] = {"k_means": k_means(x, starts), "pca": components(x)}
        made[name] = table
    path = pathlib.Path(__file__).parent / "clusterings.json"
    path.write_text(json.dumps(made, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
