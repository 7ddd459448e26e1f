"""How long the confusion page takes over a million predictions: `python benchmarks/confusion_million.py`.

Makes up a run of a million rows as Parquet, with a map of as many photos as the trainer puts on one, in a temporary folder. Then it runs
the page's script as the server does (Streamlit's AppTest, without a browser). The first view is timed three times with empty caches
(file read and validated, the first time with the imports); each change is made nine times after one burn-in, every time with a new
value, so that no cache answers.
Expected on 2 idle cores: median of first views below 3 s, of each change below 0.5 s; the script exits with 1 otherwise.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.artifacts.run import SCHEMA, sha256_of  # noqa: E402

ROWS = 1_000_000
FIRST_VIEWS, REPEATS = 3, 9
FIRST_VIEW_LIMIT, CHANGE_LIMIT = 3.0, 0.5
TIMEOUT = 60
GROUPS = {
    "Tops": ["Tshirts", "Shirts", "Tops", "Sweatshirts", "Jackets", "Sweaters", "Blazers", "Waistcoat"],
    "Bottoms": ["Jeans", "Trousers", "Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"],
}
COLOURS = [f"Colour {i}" for i in range(46)]
TABS = ["Classes", "Confused pairs", "Slices", "Map", "Threshold", "Calibration", "Review", "Cohorts"]
MAPPED = 5_000  # photos on the map


def predictions(rows: int) -> pd.DataFrame:
    """Rows of made-up predictions, about nine in ten of them right."""
    random = np.random.default_rng(0)
    names = [name for group in GROUPS.values() for name in group]
    true = random.integers(0, len(names), rows)
    logits = random.normal(size=(rows, len(names)))
    logits[np.arange(rows), true] += 4
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    words = random.choice(["Men", "Women", "Boys", "Girls", "Unisex", "Plain"], rows)
    label = np.array(names)[true]
    details = {
        "id": np.arange(rows),
        "label": label,
        "product": [f"Brand {i % 997} {word} {name}" for i, (word, name) in enumerate(zip(words, label, strict=True))],
        "group": np.where(true < len(GROUPS["Tops"]), "Tops", "Bottoms"),
        "colour": random.choice(COLOURS, rows),
        "usage": random.choice(["Casual", "Sports", "Formal", "Ethnic"], rows),
        "duplicate_group": np.arange(rows) // 2 * 2,
    }
    return pd.DataFrame({**details, **{name: probabilities[:, i] for i, name in enumerate(names)}})


def write_run(folder: Path) -> None:
    """A run folder with a million predictions as Parquet."""
    folder.mkdir()
    file = folder / "predictions.parquet"
    predictions(ROWS).to_parquet(file, index=False)
    places = np.random.default_rng(1).normal(size=(2, MAPPED))
    ids = np.arange(0, ROWS, ROWS // MAPPED)
    pd.DataFrame({"id": ids, "x": places[0], "y": places[1]}).to_csv(folder / "embedding.csv", index=False)
    manifest = {
        "schema": SCHEMA,
        "run_id": folder.name,
        "name": "A million",
        "origin": "measured",
        "created": "2026-01-01T00:00:00+00:00",
        "groups": GROUPS,
        "temperature": 1.2,
        "files": {path.name: sha256_of(path) for path in folder.iterdir()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    print(f"{ROWS:,} rows, {file.stat().st_size / 2**20:.0f} MB of Parquet")


def seconds(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def open_page() -> tuple[AppTest, float]:
    """The page and the time of its first view, with empty caches."""
    st.cache_resource.clear()
    st.cache_data.clear()
    app = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=TIMEOUT).run()
    app.switch_page("pages/3_Confusion_matrix.py")
    first = seconds(app.run)
    if app.exception or app.error:
        raise SystemExit(f"the page failed: {[item.value for item in [*app.exception, *app.error]]}")
    return app, first


def changes(app: AppTest) -> dict[str, list[float]]:
    """Name of a change to the times it took."""
    shows = ["counts", "all", "predicted", "true"]
    orders = ["size", "alphabet", "similarity", "group"]
    cells = [("Tops", "Tshirts"), ("Shirts", "Jackets"), ("Jeans", "Jeans")]
    made: dict[str, Callable[[int], object]] = {
        "threshold": lambda i: app.slider(key="matrix_above").set_value(0.3 + 0.01 * i),
        "normalisation": lambda i: app.segmented_control(key="matrix_show").set_value(shows[i % 4]),
        "order": lambda i: app.selectbox(key="matrix_order").set_value(orders[i % 4]),
        "cell": lambda i: [
            app.selectbox(key=key).set_value(name)
            for key, name in zip(("matrix_true", "matrix_called"), cells[i % 3], strict=True)
        ],
        "colour filter": lambda i: app.multiselect(key="matrix_colour").set_value(COLOURS[: 30 - i]),
        "confidence range": lambda i: app.slider(key="matrix_confidence").set_value((0.05, 0.9 + 0.01 * i)),
    }
    times = {name: [_timed(app, change, i) for i in range(REPEATS + 1)][1:] for name, change in made.items()}
    for tab in TABS:
        app.session_state["matrix_tab"] = tab
        app.run()
        repeated = [_timed(app, made["confidence range"], i) for i in range(REPEATS + 1)][1:]
        times[f"confidence range, tab {tab}"] = repeated
    return times


def _timed(app: AppTest, change: Callable[[int], object], i: int) -> float:
    change(i)
    return seconds(app.run)


def report(name: str, times: list[float]) -> float:
    """Print one line; returns the median."""
    median = statistics.median(times)
    print(f"{name:<40} {median:5.2f} s  ({min(times):.2f} to {max(times):.2f}, n={len(times)})")
    return median


def main() -> int:
    """Measure, print, and say by the exit code whether the limits hold."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GARMENTS_RUNS"] = folder
        write_run(Path(folder) / "million")
        views = [open_page() for _ in range(FIRST_VIEWS)]
        slow = report("first view", [seconds for _, seconds in views]) > FIRST_VIEW_LIMIT
        for name, times in changes(views[-1][0]).items():
            slow |= report(name, times) > CHANGE_LIMIT
    return int(slow)


if __name__ == "__main__":
    raise SystemExit(main())
