"""How far the catalogue's own labels agree, from the files of the shipped run: `python -m benchmarks.label_noise`.

Three views, none of which changes a label:

- Near-duplicate photos (see `train.splits`) whose labels differ: of two, at most one is right.
- Confident learning (Northcutt et al. 2021, by cleanlab) on photos of the test and validation splits, which the network never trained
  on, with its predictions as it is served: how many labels the confident joint puts in doubt, and between which kinds.
- The network's errors on those photos, and how often its second guess is then the label.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from cleanlab.count import compute_confident_joint

from core.artifacts.neighbours import TABLE_FILE
from core.artifacts.predictions import VALIDATION_FILE, stage_files
from core.artifacts.run import Run, current_run


class HeldOut(NamedTuple):
    """Photos that a network never trained on.

    Args:
        labels: int (n,), the index of each one's class.
        probability: (n, n_classes), calibrated.
    """

    labels: np.ndarray
    probability: np.ndarray


def held_out_files(run: Run) -> list[str]:
    """Predictions of the network as it is served; runs of earlier versions have those of the test split alone.

    Predictions after the last stage of training are of another network: neither the best epoch's nor in 8-bit integers.
    """
    return [name for name in ("predictions.csv", VALIDATION_FILE) if run.has(name)]


def held_out(run: Run) -> HeldOut:
    """The photos of these files."""
    names = list(run.labels.names)
    table = pd.concat([run.read_csv(name) for name in held_out_files(run)])
    return HeldOut(table["label"].map(names.index).to_numpy(), table[names].to_numpy())


def disagreeing_twins(run: Run) -> tuple[int, int]:
    """Pairs of near-duplicates, and those of them whose labels differ."""
    stages = stage_files(run)
    tables = [run.read_csv(name)[["id", "label"]] for name in (TABLE_FILE, "predictions.csv", stages[max(stages)])]
    groups = run.read_csv("splits.csv").merge(pd.concat(tables), on="id").groupby("duplicate_group")["label"]
    pairs = [pair for _, labels in groups for pair in combinations(labels, 2)]
    return len(pairs), sum(first != second for first, second in pairs)


def doubtful(photos: HeldOut, names: tuple[str, ...]) -> pd.Series:
    """Estimated share of photos whose label names another class than the photo shows, by (label, shown), greatest first."""
    joint = compute_confident_joint(photos.labels, photos.probability)
    shares = pd.DataFrame(joint / joint.sum(), index=list(names), columns=list(names)).stack()
    apart = shares[shares.index.get_level_values(0) != shares.index.get_level_values(1)]
    return apart.sort_values(ascending=False)


def main() -> None:
    run = current_run()
    photos, names = held_out(run), run.labels.names
    pairs, apart = disagreeing_twins(run)
    print(f"run {run.run_id}, {len(photos.labels)} photos of {' and '.join(held_out_files(run))}")
    print(f"near-duplicate pairs whose labels differ: {apart} of {pairs} ({apart / pairs:.1%})")
    shares = doubtful(photos, names)
    print(f"labels in doubt by confident learning: {shares.sum():.1%}, most of them")
    for (label, shown), share in shares.head(5).items():
        print(f"  labelled {label}, looks like {shown}: {share:.2%}")
    order = np.argsort(-photos.probability, axis=1)
    first, second = order[:, 0] == photos.labels, order[:, 1] == photos.labels
    print(f"first guess is the label: {first.mean():.1%}; first or second: {(first | second).mean():.1%}")


if __name__ == "__main__":
    main()
