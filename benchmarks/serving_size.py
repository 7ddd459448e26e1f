"""How much disk the serving installation takes: what the Dockerfile puts on top of its Python image.

    python -m benchmarks.serving_size           # a minute with pip's cache

Makes the environment and copies the files as the Dockerfile does, and adds up the bytes of the files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.report import Row, machine, show
from tests.test_serving_install import copy_app, fresh_environment


def megabytes(folder: Path) -> float:
    """Of all files below, each counted where it lies, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        app, venv = Path(folder) / "app", Path(folder) / "venv"
        copy_app(app)
        fresh_environment(venv)
        artifacts, whole_app, libraries = megabytes(app / "artifacts"), megabytes(app), megabytes(venv)
    print(machine())
    show(
        Row(name, f"{size:.0f} MB")
        for name, size in (
            ("libraries", libraries),
            ("the product without artifacts", whole_app - artifacts),
            ("artifacts: the shipped run and the others' figures", artifacts),
            ("together", libraries + whole_app),
            ("together without artifacts", libraries + whole_app - artifacts),
        )
    )


if __name__ == "__main__":
    main()
