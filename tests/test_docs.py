"""Links of README and docs lead somewhere, what they name exists. Their commands run in tests/test_documented_commands.py."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from core.artifacts.run import current_run
from core.images.decode import MAX_BYTES, MAX_PIXELS
from tests.conftest import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "artifacts" / "README.md",
    *(ROOT / "docs").glob("*.md"),
]


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_lines(text: str) -> list[str]:
    """Lines of code blocks, and code within sentences."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()] + inline


ALL_LINES = [(path, line) for path in DOCUMENTS for line in code_lines(text_of(path))]
MODULES = sorted(
    {
        (match[1], match[2].partition(" > ")[0].strip(" ."))
        for _, line in ALL_LINES
        if (match := re.search(r"-m (core|train)\b(?!\.)(.*)$", line))
    }
)  # commands with their arguments
TARGETS = sorted({match[1] for _, line in ALL_LINES if (match := re.match(r"make ([a-z-]+)", line))})
OTHER_MODULES = sorted(
    {match[1] for _, line in ALL_LINES if (match := re.search(r"python -m ((?:benchmarks|deploy|tests)[\w.]*)", line))}
)
TESTS_NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text_of(ROOT / "docs" / "reliability.md"))))


def anchors(path: Path) -> set[str]:
    """What links may name in a document, as GitHub makes it from headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), f"{path.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{path.name} links to {link}"


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_exists(target: str):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_run_warns_of_the_installs_minutes_and_names_no_address_that_a_setting_may_change(tmp_path: Path):
    dry = ["make", "-n", "run", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert done.index("a few minutes") < done.index("pip install") < done.index("streamlit run") and "8501" not in done


@pytest.mark.parametrize("module", OTHER_MODULES)
def test_a_module_exists(module: str):
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize(("file", "name"), TESTS_NAMED)
def test_a_promise_is_kept_by_a_test_that_exists(file: str, name: str):
    assert f"def {name}(" in text_of(ROOT / file)


def test_commands_targets_and_promises_are_found():
    assert len(MODULES) >= 12 and {"run", "test"} <= set(TARGETS) and len(TESTS_NAMED) >= 15


def test_every_document_is_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", text_of(ROOT / "README.md")))
    assert linked == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}


def test_every_picture_is_used():
    used = "".join(text_of(path) for path in DOCUMENTS)
    assert [
        path.name for path in (ROOT / "docs" / "screenshots").glob("*-light-1440.png") if path.name not in used
    ] == []


def test_the_user_guide_states_the_limits_of_the_code():
    guide = text_of(ROOT / "docs" / "user-guide.md")
    assert re.search(rf"up\s+to\s+{MAX_BYTES // 2**20}\s+MB\s+and\s+{MAX_PIXELS // 10**6}\s+megapixels", guide)


def test_the_user_guide_names_the_run_in_its_pictures():
    assert f"`{current_run().run_id}`" in text_of(ROOT / "docs" / "user-guide.md")


SOURCE = re.compile(r"python -m \w|make [a-z]|`\d{8}-\d{6}-\w+`")  # a command, or a run by its id
FIGURE = re.compile(r"\d\s?%|\d ms\b|\d s\b|\d MB\b|\b0\.\d|\d times")


def tables_of_figures(text: str) -> list[tuple[str, str]]:
    """Each table with figures, and where their source may stand: in the section that it is in, or before the document's first one."""
    opening, *sections = re.split(r"^(?=#{2,} )", text, flags=re.MULTILINE)
    found = []
    for section in (opening, *sections):
        tables = re.findall(r"(?:^\|.*\n?)+", section, re.MULTILINE)
        found += [(table, opening + section) for table in tables if len(FIGURE.findall(table)) > 2]
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_table_of_figures_names_the_run_or_the_command_it_came_from(path: Path):
    for table, context in tables_of_figures(text_of(path)):
        assert SOURCE.search(context), f"{path.name} does not say where these figures come from:\n{table[:300]}"


def test_a_table_without_a_source_is_seen():
    table = "| accuracy |\n|---|\n| 91% |\n| 92% |\n| 93% |\n"
    (found, context), *_ = tables_of_figures(f"# Title\n\n## Results\n\n{table}\n## Speed\n\n`make bench`\n")
    assert found.strip() == table.strip() and not SOURCE.search(context)
    assert sum(len(tables_of_figures(text_of(path))) for path in DOCUMENTS) >= 12
