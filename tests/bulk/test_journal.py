"""A journal is taken up where it was left, and never by another task."""

import pytest

from core.bulk.journal import Journal
from core.errors import InvalidData

TASK = {"run": "a", "photos": 3}
BATCHES = [[{"file": "1"}, {"file": "2"}], [{"file": "ä\n3"}]]


@pytest.fixture
def journal(tmp_path) -> Journal:
    journal = Journal(tmp_path / "out.csv.part", TASK)
    assert journal.resume() == 0
    for batch in BATCHES:
        journal.append(batch)
    return journal


def test_what_was_appended_is_read_back_in_order(journal):
    assert list(journal.batches()) == BATCHES
    assert list(journal.records()) == [record for batch in BATCHES for record in batch]


def test_it_is_taken_up_with_what_it_holds(journal):
    again = Journal(journal.path, TASK)
    assert again.resume() == 2
    again.append([{"file": "4"}])
    assert list(again.batches()) == [*BATCHES, [{"file": "4"}]]


def test_a_kill_at_any_byte_leaves_whole_batches(journal):
    data = journal.path.read_bytes()
    for length in range(len(data) + 1):
        journal.path.write_bytes(data[:length])
        whole = max(0, data[:length].count(b"\n") - 1)
        assert journal.resume() == whole
        assert list(journal.batches()) == BATCHES[:whole]


def test_another_tasks_journal_is_refused_and_kept(journal):
    other = Journal(journal.path, TASK | {"photos": 4})
    with pytest.raises(InvalidData, match=r"unfinished results of another command \(different: photos\)"):
        other.resume()
    with pytest.raises(InvalidData, match="another command"):
        list(other.batches())
    assert list(journal.batches()) == BATCHES


def test_a_file_that_is_no_journal_is_refused(journal):
    journal.path.write_bytes(b"some text\n")
    with pytest.raises(InvalidData, match="another command"):
        journal.resume()


@pytest.mark.parametrize("line", [0, 1, 2], ids=["task", "first batch", "second batch"])
def test_a_block_of_zeros_that_a_power_cut_left_counts_as_not_written(journal, line):
    lines = journal.path.read_bytes().splitlines(keepends=True)
    for zeroed in (bytes(len(lines[line])), lines[line][:5] + bytes(len(lines[line]) - 6) + b"\n"):
        journal.path.write_bytes(b"".join([*lines[:line], zeroed, *lines[line + 1 :]]))
        whole = max(0, line - 1)
        assert journal.resume() == whole
        for batch in BATCHES[whole:]:
            journal.append(batch)
        assert list(journal.batches()) == BATCHES


def test_a_batch_is_on_the_disk_before_the_next_is_begun(journal, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    journal.append(BATCHES[0])
    assert len(synced) == 1
