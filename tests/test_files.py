"""Files and folders appear whole or not at all."""

from pathlib import Path

import pytest

from core.files import new_folder, replaced


def test_a_file_takes_the_place_of_the_old_one_only_when_it_is_complete(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replaced(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replaced(path) as partial:
        partial.write_text("ne")
        raise OSError("full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_gets_its_name_only_when_it_is_complete(tmp_path: Path):
    path = tmp_path / "deep" / "run"
    with new_folder(path) as partial:
        (partial / "a").write_text("a")
        assert not path.exists()
    assert [child.name for child in path.iterdir()] == ["a"] and list(path.parent.iterdir()) == [path]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "run") as partial:
        (partial / "a").write_text("a")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
