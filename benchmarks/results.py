"""The results table of the README, from the run folders: `python -m benchmarks.results`. A test keeps the README equal to it."""

from __future__ import annotations

from typing import Any

from core.artifacts.run import Run, current_run, find_runs

HEAD = [
    "run",
    "products, accuracy",
    "phone photos, allowed class",
    "worn garments, allowed class",
    "macro-F1",
    "calibration error",
    "input",
    "training",
]


def rows() -> list[list[str]]:
    """The published reference first, then every measured run, in the order they were begun."""
    runs = sorted(find_runs()[0], key=lambda run: (run.manifest["origin"] == "measured", run.run_id))
    shipped = current_run().run_id
    return [_row(run, run.run_id == shipped) for run in runs]


def _row(run: Run, shipped: bool) -> list[str]:
    history, metrics = run.read_csv("history.csv"), run.read_json("metrics.json")
    hours = f"{history['seconds'].sum() / 3600:.1f} h, {history['device'].iloc[-1]}"
    if run.manifest["origin"] == "published":
        return [run.manifest["name"], metrics["test"]["accuracy"]["as_published"], *["not published"] * 5, hours]
    test, size = metrics["test"], run.manifest["input"]
    name = f"{run.manifest['name']}, `{run.run_id}`"
    return [
        f"**{name}** (shipped)" if shipped else name,
        _rate(test["accuracy"]),
        *(
            _rate(metrics[kind]["test"]["allowed_set"]) if kind in metrics else "not measured"
            for kind in ("phone", "worn")
        ),
        f"{test['macro_f1']:.2f}",
        f"{test['calibration_error']['after']:.3f}",
        f"{size['height']}x{size['width']}",
        hours,
    ]


def _rate(share: dict[str, Any]) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})"


def table() -> str:
    """The table as Markdown; rates with their 95% intervals."""
    lines = [HEAD, ["---"] * len(HEAD), *rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
