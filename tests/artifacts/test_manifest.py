"""The manifest and metrics of a run are typed, and a wrong field is named with its file."""

import json

import pytest

from core.artifacts.manifest import Manifest, record_of
from core.artifacts.run import Run, find_runs
from core.errors import BrokenRun
from tests.conftest import ROOT
from tests.run_factory import write_run


def rewritten(run: Run, **fields) -> Run:
    """The same run, its manifest with other fields."""
    (run.folder / "manifest.json").write_text(json.dumps(run.manifest | fields))
    return Run.load(run.folder)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"temperature": "warm"}, r"manifest\.json does not hold what it should: .*`temperature`"),
        ({"in_scope": {}}, r"missing required field `threshold` - at `in_scope`"),
        ({"files": ["history.csv"]}, r"got `array` - at `files`"),
        ({"name": None}, r"got `null` - at `name`"),
    ],
)
def test_a_run_with_a_wrong_field_is_refused_and_the_field_named(tmp_path, fields, problem):
    with pytest.raises(BrokenRun, match=problem):
        rewritten(write_run(tmp_path, "run"), **fields)


def test_a_field_of_a_later_version_does_no_harm_and_stays_in_the_manifest(tmp_path):
    run = rewritten(write_run(tmp_path, "run"), colour_of_the_day="teal")
    assert run.name == "Run run" and run.manifest["colour_of_the_day"] == "teal"


def test_wrong_metrics_are_refused_with_the_place(tmp_path):
    run = write_run(tmp_path, "run", files={})
    (run.folder / "metrics.json").write_text(json.dumps({"test": {"classes": [{"class": "Tops", "support": "many"}]}}))
    run = Run(run.folder, run.manifest | {"files": {"metrics.json": _sha256(run)}})
    with pytest.raises(BrokenRun, match=r"metrics\.json does not hold .* at `test\.classes\[0\]\.support`"):
        _ = run.metrics


def _sha256(run: Run) -> str:
    from core.artifacts.run import sha256_of

    return sha256_of(run.folder / "metrics.json")


def test_a_run_without_a_network_says_so_where_one_is_needed():
    published = Run.load(ROOT / "artifacts" / "runs" / "published-reference")
    for need in ("input", "temperature", "threshold"):
        with pytest.raises(BrokenRun, match="The run published-reference cannot classify: its manifest has no"):
            getattr(published, need)


def test_every_run_of_the_repository_is_read():
    runs, broken = find_runs(ROOT / "artifacts" / "runs")
    assert not broken and all(run.metrics for run in runs)
    assert {run.name for run in runs if run.facts.is_published} == {"published reference"}


def test_records_cannot_be_changed(tmp_path):
    facts = record_of(Manifest, write_run(tmp_path, "run").manifest, tmp_path)
    with pytest.raises(AttributeError):
        facts.name = "another"  # type: ignore[misc]
