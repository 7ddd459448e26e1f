"""The results table of the README, from the run folders: `python -m benchmarks.results`. A test keeps the README equal to it."""

from __future__ import annotations

from core.artifacts.measures import Rate
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
    runs = sorted(find_runs()[0], key=lambda run: (not run.facts.is_published, run.run_id))
    shipped = current_run().run_id
    return [_row(run, run.run_id == shipped) for run in runs]


def _row(run: Run, shipped: bool) -> list[str]:
    history, metrics = run.read_csv("history.csv"), run.metrics
    hours = f"{history['seconds'].sum() / 3600:.1f} h, {history['device'].iloc[-1]}"
    test = metrics.test
    if run.facts.is_published:
        return [run.name, test.accuracy.as_published or "", *["not published"] * 5, hours]
    size = run.facts.input
    name = f"{run.name}, `{run.run_id}`"
    return [
        f"**{name}** (shipped)" if shipped else name,
        _rate(test.accuracy),
        *(_rate(of.test.allowed_set) if of.test else "not measured" for of in (metrics.phone, metrics.worn)),
        f"{test.macro_f1:.2f}",
        f"{test.calibration_error.after:.3f}" if test.calibration_error else "not measured",
        f"{size.height}x{size.width}" if size else "",
        hours,
    ]


def _rate(rate: Rate) -> str:
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def table() -> str:
    """The table as Markdown; rates with their 95% intervals."""
    lines = [HEAD, ["---"] * len(HEAD), *rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
