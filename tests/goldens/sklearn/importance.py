"""Writes importance.json: the permutation importance of a linear model's R^2 by scikit-learn, with the permutations.
Needs scikit-learn 1.5.2 and numpy 1.26.4, see make.py."""

import json
import pathlib

import numpy as np
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression


def main():
    random = np.random.default_rng(3)
    x = random.normal(size=(40, 4)).round(3)
    y = (x @ [3.0, -1.0, 0.25, 0.0] + 0.5 + 0.1 * random.normal(size=40)).round(3)
    model = LinearRegression().fit(x, y)
    baseline, drops = model.score(x, y), []
    # The same orders for all columns: as scikit-learn's loop over one column has it, written out.
    orders = [random.permutation(40) for _ in range(3)]
    for column in range(4):
        drops.append([])
        for order in orders:
            moved = x.copy()
            moved[:, column] = moved[order, column]
            drops[-1].append(baseline - model.score(moved, y))
    # It agrees with scikit-learn's own on average, which draws its own orders.
    theirs = permutation_importance(model, x, y, n_repeats=2000, random_state=0).importances_mean
    assert np.argsort(theirs).tolist() == np.argsort(np.mean(drops, axis=1)).tolist()
    path = pathlib.Path(__file__).parent / "importance.json"
    path.write_text(
        json.dumps(
            {
                "x": x.tolist(),
                "y": y.tolist(),
                "weights": model.coef_.tolist(),
                "bias": model.intercept_,
                "orders": [order.tolist() for order in orders],
                "drops": drops,
            },
            separators=(",", ":"),
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
