"""The results table of the README, from the run folders: `python -m benchmarks.results`. A test keeps the README equal to it."""

from __future__ import annotations

from core.artifacts.run import Run, current_run, find_runs


def rows() -> list[list[str]]:
    """The published reference first, then every measured run, in the order they were begun."""
    runs = sorted(find_runs()[0], key=lambda run: (run.manifest["origin"] == "measured", run.run_id))
    shipped = current_run().run_id
    return [_row(run, run.run_id == shipped) for run in runs]


def _row(run: Run, shipped: bool) -> list[str]:
    history, metrics = run.read_csv("history.csv"), run.read_json("metrics.json")
    test = metrics["test"]
    name = f"{run.manifest['name']}, `{run.run_id}`" if run.manifest["origin"] == "measured" else run.manifest["name"]
    name = f"**{name}** (shipped)" if shipped else name
    hours = f"{history['seconds'].sum() / 3600:.1f} h, {history['device'].iloc[-1]}"
    if run.manifest["origin"] == "published":
        return [
            name,
            test["accuracy"]["as_published"],
            f"{history['val_accuracy'].max():.1%}",
            "not published",
            "not published",
            "not published",
            "not published",
            "not published",
            hours,
        ]
    accuracy, size = test["accuracy"], run.manifest["input"]
    return [
        name,
        f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})",
        f"{metrics['validation']['accuracy']['value']:.1%}",
        f"{test['macro_f1']:.2f}",
        f"{metrics['phone']['test']['allowed_set']['value']:.1%}" if "phone" in metrics else "not measured",
        f"{test['calibration_error']['after']:.3f}",
        f"{test['in_scope']['auroc']:.3f}",
        f"{size['height']}x{size['width']}",
        hours,
    ]


def table() -> str:
    """The table as Markdown."""
    head = [
        "run",
        "test accuracy (95%)",
        "validation",
        "macro-F1",
        "phone photos",
        "calibration error",
        "other products, AUROC",
        "input",
        "training",
    ]
    lines = [head, ["---"] * len(head), *rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    print(table())


if __name__ == "__main__":
    main()
