"""Progress of many photos, where nobody watches."""

import itertools

from core.bulk.progress import progress


def test_a_log_has_a_line_twice_a_minute_and_none_for_each_batch(capsys, monkeypatch):
    clock = itertools.count(0, 12.0)  # seconds between two batches
    monkeypatch.setattr("core.bulk.progress.time.monotonic", lambda: float(next(clock)))
    with progress(320, 32) as counted:
        for _ in range(9):
            counted.update(32)
    assert capsys.readouterr().err.splitlines() == [
        "128 of 320 photos, 2.7 images/s, 1:12 left",
        "224 of 320 photos, 2.7 images/s, 0:36 left",
        "320 of 320 photos, 2.7 images/s, 0:00 left",
    ]


def test_a_few_photos_need_no_progress(capsys, monkeypatch):
    monkeypatch.setattr("core.bulk.progress.SECONDS_BETWEEN", 0.0)
    with progress(3, 0) as counted:
        counted.update(3)
    assert not capsys.readouterr().err
