"""The import rule of docs/architecture.md, proven of the sources and in fresh interpreters, and proven able to fail."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# The packages of core, bottom to top: each imports from those below it only, never from one beside it.
LAYERS = (
    ("errors", "settings", "files", "samples", "stopwatch"),
    ("turns",),
    ("confinement",),
    ("images", "artifacts"),
    ("inference", "feedback", "analysis"),
    ("plots",),
    ("bulk",),
    ("ui",),
    ("ui.classify", "ui.confusion", "__main__"),
    ("ui.tour",),
)
FLOOR = {package: floor for floor, layer in enumerate(LAYERS) for package in layer}
FACE = "core"  # for users of the library only
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "core").rglob("*.py"))
}
INSIDE = [name for name in MODULES if name != FACE]
PAGES = [ROOT / "Home.py", *sorted((ROOT / "pages").glob("*.py"))]
WITH_TORCH = ("core.inference.model", "core.inference.torch_session")
WITHOUT = [name for name in INSIDE if name not in WITH_TORCH and not name.startswith(("core.ui", "core.__main__"))]
FOLDERS = {
    "Home.py, pages": PAGES,
    "train": sorted((ROOT / "train").rglob("*.py")),
    "deploy": sorted((ROOT / "deploy").glob("*.py")),
}
LIBRARIES = dict(  # package or folder to what its row of the table names
    re.findall(
        r"^\| `(.*)` \| .* \| (.*) \|$", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE
    )
)
PIP_NAMES = {
    "PIL": "pillow",
    "fpdf": "fpdf2",
    "sklearn": "scikit-learn",
}  # where it differs in more than hyphens and capitals
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


def imported_by(source: str) -> set[str]:
    """Every module that a source names in an import, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports_of(path: Path) -> set[str]:
    return imported_by(path.read_text(encoding="utf-8"))


def package_of(module: str) -> str:
    """The package of core that a module belongs to: the longest that fits; empty for the face."""
    own = f"{module.removeprefix('core.')}."
    return max((package for package in FLOOR if own.startswith(f"{package}.")), key=len, default="")


def upward(module: str, source: str) -> set[str]:
    """What a module of core imports of core that is neither of its own package nor of one below."""
    own = package_of(module)
    foreign = {name for name in imported_by(source) if name.partition(".")[0] == "core" and package_of(name) != own}
    return {name for name in foreign if not package_of(name) or FLOOR[package_of(name)] >= FLOOR[own]}


def libraries(paths: list[Path]) -> set[str]:
    """What files import of others, by pip's names."""
    packages = {name.partition(".")[0] for path in paths for name in imports_of(path)}
    foreign = packages - sys.stdlib_module_names - {"core", "train"}
    return {PIP_NAMES.get(name, name).lower().replace("_", "-") for name in foreign}


def files_of(row: str) -> list[Path]:
    return FOLDERS.get(row) or [path for name, path in MODULES.items() if package_of(name) == row]


@pytest.mark.parametrize("module", INSIDE)
def test_a_module_imports_only_from_packages_below_its_own(module: str):
    assert package_of(module)
    assert upward(module, MODULES[module].read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("row", LIBRARIES)
def test_a_package_imports_the_libraries_of_its_row_and_no_others(row: str):
    assert {name.lower() for name in LIBRARIES[row].split(", ")} - {"none"} == libraries(files_of(row))


def test_every_package_has_a_row():
    assert {package_of(name) for name in INSIDE} | set(FOLDERS) == set(LIBRARIES)


def test_core_without_its_model_and_widgets_loads_neither_torch_nor_streamlit():
    code = "\n".join(f"import {name}" for name in WITHOUT)
    assert loads(code, {"torch", "torchvision", "streamlit", "train"}) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_runs_without_torch(page: Path):
    assert loads(RUN_PAGE.format(page=str(page)), {"torch", "torchvision", "train"}) == ""


def test_the_first_page_does_not_wait_for_libraries_it_can_do_without():
    heavy = {"pandas", "pyarrow", "scipy", "sklearn"}
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


def test_the_public_face_gives_what_it_names_and_loads_no_engine_before():
    names = "from core import __all__ as names"
    assert loads(f"import core\n{names}", {"onnxruntime", "numpy"}) == ""
    assert loads(f"import core\n{names}\nassert all(hasattr(core, name) for name in names)", {"torch", "pandas"}) == ""


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.plots.bars", "from core.bulk import pipeline"),
        ("core.images.decode", "from core.artifacts.run import Run"),
        ("core.ui.home", "def f():\n    from core.ui.classify.viewer import viewer"),
        ("core.ui.classify.viewer", "from core.ui.confusion import photos"),
        ("core.analysis.text", "from core import Classifier"),
    ],
)
def test_the_proof_finds_an_import_that_runs_upward_or_sideways(module: str, source: str):
    assert upward(module, source)


def test_the_proof_in_a_fresh_interpreter_can_fail():
    assert "loads {'streamlit'}" in loads("import core.ui.shell", {"streamlit"})
    assert "torch" in loads("import core.inference.model", {"torch"})


def test_only_the_widgets_import_streamlit_and_only_two_modules_torch():
    assert all("streamlit" not in libraries([MODULES[name]]) for name in WITHOUT)
    assert [name for name in INSIDE if libraries([MODULES[name]]) & {"torch", "torchvision"}] == [*WITH_TORCH]


@pytest.mark.parametrize("path", FOLDERS["train"], ids=lambda path: path.name)
def test_train_uses_core_without_widgets_and_plots(path: Path):
    foreign = {name for name in imports_of(path) if name.startswith(("core.ui", "core.plots", "streamlit"))}
    assert not foreign


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_a_short_script_over_core(path: Path):
    packages = {name.partition(".")[0] for name in imports_of(path)}
    assert packages <= {"core", "streamlit", "__future__"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 130


def test_pages_never_write_into_artifacts():
    for path in [*PAGES, *MODULES.values()]:
        text = path.read_text(encoding="utf-8")
        assert "write_text" not in text and "write_bytes" not in text, path.name
