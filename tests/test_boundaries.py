"""The import rule of docs/architecture.md, proven in fresh interpreters, and proven able to fail."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted(path.stem for path in (ROOT / "core").glob("*.py") if path.stem not in ("__init__", "__main__"))
PAGES = [ROOT / "Home.py", *sorted((ROOT / "pages").glob("*.py"))]
WITH_STREAMLIT = [name for name in CORE if name == "ui" or name.startswith("ui_")]
WITH_TORCH = ("model", "torch_session")
WITHOUT = [name for name in CORE if name not in (*WITH_STREAMLIT, *WITH_TORCH)]
ROWS = re.findall(
    r"^\| (`.*`) \| .* \| (.*) \|$", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE
)
MAY_IMPORT = dict(ROWS)  # room to the last column of its row
PIP_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn"}  # where it differs in more than hyphens and capitals
ROOMS = {
    "`Home.py`, `pages/*.py`": PAGES,
    "`core/`": [ROOT / "core" / f"{name}.py" for name in ("__init__", "__main__", *WITHOUT)],
    "`core/model.py`, `core/torch_session.py`": [ROOT / "core" / f"{name}.py" for name in WITH_TORCH],
    "`core/ui*.py`": [ROOT / "core" / f"{name}.py" for name in WITH_STREAMLIT],
    "`train/`": sorted((ROOT / "train").glob("*.py")),
    "`deploy/`, `static/`": sorted((ROOT / "deploy").glob("*.py")),
}
FORBIDDEN = """
import sys
loaded = {{name.partition(".")[0] for name in sys.modules}} & {names}
sys.exit(f"loads {{loaded}}" if loaded else 0)
"""
RUN_PAGE = """
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({page!r}, default_timeout=60).run()
assert not app.exception
"""


def loads(code: str, forbidden: set[str]) -> str:
    """Run code in a fresh interpreter; returns which of the forbidden packages it loaded, as a message, or nothing."""
    script = f"{code}\n{FORBIDDEN.format(names=forbidden)}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    last = done.stderr.strip().rpartition("\n")[2]
    assert done.returncode == 0 or last.startswith("loads "), done.stderr
    return last if done.returncode else ""


def imported_by(path: Path) -> set[str]:
    """Every module a file names in an import, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def libraries(room: str) -> set[str]:
    """What the room's files import of others, by pip's names."""
    packages = {name.partition(".")[0] for path in ROOMS[room] for name in imported_by(path)}
    foreign = packages - sys.stdlib_module_names - {"core", "train"}
    return {PIP_NAMES.get(name, name).lower().replace("_", "-") for name in foreign}


def named(room: str) -> set[str]:
    """The libraries that stand in the room's row."""
    return {entry.lower() for entry in MAY_IMPORT[room].split(", ") if "`" not in entry}


def allowed(room: str) -> set[str]:
    """The same, with those that the row takes over from core."""
    return named(room) | (named("`core/`") if "what `core/` may" in MAY_IMPORT[room] else set())


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_libraries_of_its_row_only_and_the_row_names_no_others(room: str):
    assert libraries(room) - allowed(room) == set()
    assert named(room) - libraries(room) == set()


def test_core_without_its_model_and_widgets_loads_neither_torch_nor_streamlit():
    code = "\n".join(f"import core.{name}" for name in WITHOUT)
    assert loads(code, {"torch", "torchvision", "streamlit", "train"}) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_runs_without_torch(page: Path):
    assert loads(RUN_PAGE.format(page=str(page)), {"torch", "torchvision", "train"}) == ""


def test_the_first_page_does_not_wait_for_libraries_it_can_do_without():
    heavy = {"pandas", "pyarrow", "sklearn"}
    assert loads(RUN_PAGE.format(page=str(ROOT / "Home.py")), heavy) == ""
    assert "pandas" in loads(RUN_PAGE.format(page=str(ROOT / "pages" / "2_Training_history.py")), heavy)


@pytest.mark.parametrize(
    ("code", "reported"),
    [
        (RUN_PAGE.format(page=str(PAGES[1])), False),
        ("import train.evaluate", False),
        ("import benchmarks.engines", False),
        ("import onnxruntime", True),
    ],
    ids=["page", "train", "benchmarks", "alone"],
)
def test_nothing_is_reported_of_this_machine(code: str, reported: bool, tmp_path: Path):
    """ONNX Runtime keeps an id of the machine, and what it has to report, below the home folder."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment = inherited | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=120)
    assert any(tmp_path.rglob("*onnxruntime*")) == reported


def test_the_proof_itself_can_fail():
    assert "loads {'streamlit'}" in loads("import core.ui", {"streamlit"})
    assert "torch" in loads("import core.model", {"torch"})
    assert libraries("`core/model.py`, `core/torch_session.py`") - allowed("`core/`") == {"torch", "torchvision"}


@pytest.mark.parametrize("path", sorted((ROOT / "core").glob("*.py")), ids=lambda path: path.name)
def test_core_never_names_train(path: Path):
    assert not {name for name in imported_by(path) if name.partition(".")[0] == "train"}


@pytest.mark.parametrize("path", sorted((ROOT / "train").glob("*.py")), ids=lambda path: path.name)
def test_train_uses_core_without_widgets_and_figures(path: Path):
    foreign = {name for name in imported_by(path) if name.startswith(("core.ui", "core.figures", "streamlit"))}
    assert not foreign


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_a_short_script_over_core(path: Path):
    packages = {name.partition(".")[0] for name in imported_by(path)}
    assert packages <= {"core", "streamlit", "__future__"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 130


def test_pages_never_write_into_artifacts():
    for path in [*PAGES, *(ROOT / "core").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "write_text" not in text and "write_bytes" not in text, path.name
