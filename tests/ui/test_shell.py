"""What all pages share: a session keeps its network while the run folder changes under it, and every page ends its errors in one place."""

import gc
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.artifacts.labels import LabelSet
from core.artifacts.run import current_run, sha256_of
from core.images.decode import display_name
from core.ui import markdown, server, shell, waiting
from core.ui.waiting import before_words
from tests.conftest import GROUPS, ROOT
from tests.prediction_tables import prediction_table
from tests.ui.test_page_classify import component, headlines, photo, upload


@pytest.fixture
def runs(random_run, tmp_path, monkeypatch):
    """A folder of runs of its own, to be altered: the random network as the shipped run."""
    shutil.copytree(random_run.folder.parent, tmp_path / "runs")
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def ship(runs, name: str, whole: bool = True) -> None:
    """Put another run in the place of the shipped one, its weights cut short if it is not whole."""
    shutil.copytree(runs / "random", runs / name)
    manifest = json.loads((runs / name / "manifest.json").read_text()) | {"run_id": name, "name": f"the {name} run"}
    (runs / name / "manifest.json").write_text(json.dumps(manifest))
    if not whole:
        (runs / name / "model.safetensors").write_bytes(b"half")
    (runs / "current.json").write_text(json.dumps({"run_id": name}))


def answered(page: AppTest) -> str:
    """The run that the page answers with."""
    return page.session_state["classifier"][1].run.run_id


@pytest.fixture
def page(runs) -> AppTest:
    return upload(
        AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run(), ("a.png", photo())
    )


def test_a_new_run_is_offered_and_the_old_one_works_until_it_is_taken(page, runs):
    ship(runs, "new")
    page.run()
    assert "A new run is available: “the new run”" in page.info[0].value
    assert answered(page) == "random" and len(headlines(page)) == 1
    page.button("use_new_run").click().run()
    assert answered(page) == "new" and len(headlines(page)) == 1 and not page.error
    assert not any("Another run" in info.value for info in page.info)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda runs: shutil.rmtree(runs / "random"), "manifest.json is missing"),
        (
            lambda runs: (runs / "random" / "manifest.json").write_text('{"schema": 1, "run'),
            "manifest.json cannot be read",
        ),
        (lambda runs: (runs / "current.json").unlink(), "current.json is missing"),
        (
            lambda runs: [(runs / "current.json").unlink(), (runs / "current.json").mkdir()],
            "current.json cannot be read",
        ),
    ],
    ids=["missing", "half-written", "unchosen", "unreadable"],
)
def test_a_session_goes_on_when_its_artifacts_go(page, runs, fault, message):
    fault(runs)
    page.run()
    assert "this session keeps using “random weights”" in page.warning[0].value and message in page.warning[0].value
    upload(page, ("b.png", photo("Jeans")))
    assert len(headlines(page)) == 1 and not page.error and not page.exception


def test_what_is_told_of_the_run_beside_the_answer_may_go_and_the_answer_stays(runs):
    folder = runs / "random"
    prediction_table(50, labels=LabelSet.from_json(GROUPS)).to_csv(folder / "predictions.csv", index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["predictions.csv"] = sha256_of(folder / "predictions.csv")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    page = upload(
        AppTest.from_file(str(ROOT / "pages" / "1_Classify.py"), default_timeout=60).run(), ("a.png", photo())
    )
    page.toggle("bias").set_value(True).run()
    assert any("test photos" in caption.value for caption in page.caption)
    folder.rename(runs.parent / "gone")
    page.run()
    assert any("effect on accuracy is not known" in caption.value for caption in page.caption)
    assert len(headlines(page)) == 1 and not page.error and not page.exception


def test_home_keeps_its_demonstration_its_classes_and_its_figures_when_the_run_goes(tmp_path, monkeypatch):
    shipped = current_run()
    (tmp_path / shipped.run_id).symlink_to(shipped.folder.resolve())
    (tmp_path / "current.json").write_text(json.dumps({"run_id": shipped.run_id}))
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run()
    assert not page.warning
    (tmp_path / shipped.run_id).unlink()
    page.run()
    assert page.metric and page.button("sample-Jeans") and page.get("image") and not page.error and not page.exception


def test_a_new_run_that_is_not_whole_is_named_when_it_is_taken_and_the_old_one_goes_on(page, runs):
    ship(runs, "torn", whole=False)
    page.run()
    page.button("use_new_run").click().run()
    assert "model.safetensors is damaged or was replaced" in page.warning[0].value
    assert answered(page) == "random" and len(headlines(page)) == 1


def test_a_network_out_of_memory_fails_the_one_request_and_the_next_works(page, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr("core.inference.engine.Engine.run", lambda *_: (_ for _ in ()).throw(MemoryError("17 GB")))
        upload(page, ("b.png", photo("Waistcoat")))
        assert "Unexpected error" in page.error[0].value and "17 GB" not in page.error[0].value
    page.run()
    assert not page.error and len(headlines(page)) == 1


@pytest.mark.parametrize(
    ("page_file", "address"),
    [
        ("1_Classify.py", {"group": "", "view": "", "top_k": "9" * 400, "opacity": "nan", "sample": "Shirts"}),
        ("2_Training_history.py", {"axis": "", "picture": "", "smoothing": "1e999", "curves": "", "tab": "none"}),
        ("3_Confusion_matrix.py", {"matrix_show": "", "matrix_above": "nan", "matrix_order": "x" * 5000}),
        ("3_Confusion_matrix.py", {"matrix_tab": "Classes", "matrix_measure": "", "matrix_confidence": "nan"}),
    ],
)
def test_whatever_stands_in_a_pages_address_it_opens(page_file, address):
    page = AppTest.from_file(str(ROOT / "pages" / page_file), default_timeout=120)
    for name, value in address.items():
        page.query_params[name] = value
    page.run()
    assert not page.error and not page.exception


def test_no_address_in_a_strangers_words_can_be_clicked():
    for text in ("https://a.example", "HTTP://a.example", "www.a.example/x", "me@a.example", "mailto:me@a.example"):
        shown = markdown.literal(f"x {text}.jpg")
        assert not re.search(r"https?\\?:|www\\?\.|[\w.+-]@", shown, re.IGNORECASE)
        assert shown.replace("\\", "").replace("\u2060", "") == f"x {text}.jpg"


@pytest.mark.parametrize("path", [f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py")])
def test_every_page_draws_within_the_error_boundary(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    _, boundary, inside = re.split(r"^(with shell\.errors_shown\(\)[^\n]*:)$", source, maxsplit=1, flags=re.MULTILINE)
    assert boundary and all(not line or line.startswith(" ") for line in inside.splitlines())


def test_the_server_is_set_up_to_be_safe():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["enableXsrfProtection"] is True and config["server"]["enableCORS"] is True
    assert config["server"]["maxUploadSize"] == 200
    assert (
        config["browser"]["serverAddress"] == "localhost"
    )  # else it asks an address service when it starts on 0.0.0.0
    assert config["browser"]["gatherUsageStats"] is False and config["client"]["showErrorDetails"] == "none"


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>.jpg",
        "two\nlines.jpg",
        "\u202egpj.exe.jpg",
        "n" * 300 + ".jpg",
        "**bold** [a](b).jpg",
    ],
)
def test_a_hostile_file_name_makes_no_html_and_no_second_line(page, name):
    upload(page, ("second.png", photo("Jeans")), (name, photo("Skirts")), (name, b"no photo"))
    page.session_state["selected_photo"] = hashlib.sha256(photo("Skirts")).hexdigest()
    page.run()
    assert not page.exception and len(page.error) == 1
    shown = page.session_state["photos"][page.session_state["selected_photo"]].name
    assert shown == display_name(name) and "\n" not in shown and "\u202e" not in shown and len(shown) <= 80
    strip = component(page, "photo_strip")
    assert strip and strip["tiles"][2]["name"] == shown
    assert page.error[0].value.startswith(markdown.literal(shown))
    assert not any(shown in html.proto.body for html in page.get("html"))


def test_files_to_take_away_are_made_when_they_are_asked_for_and_dated_by_their_content(page, monkeypatch):
    made, since = [], page.session_state["answers_shown"][0]
    monkeypatch.setattr("core.ui.classify.export.records", lambda *_: made.append(1))
    later = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr("core.ui.session.datetime", SimpleNamespace(now=lambda: later))
    page.run()
    assert page.session_state["answers_shown"][0] == since
    upload(page, ("b.png", photo("Jeans")))
    assert page.session_state["answers_shown"][0] == later.astimezone() and not made
    assert all(button.proto.deferred_file_id for button in page.get("download_button"))


def test_pages_leave_no_temporary_file(page, tmp_path, monkeypatch):
    empty = tmp_path / "temporary"
    empty.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(empty))
    upload(page, ("b.png", photo("Jeans")), ("bad.jpg", b"no photo"))
    assert list(empty.iterdir()) == []


def test_a_visitor_waits_while_as_many_as_there_are_turns_are_answered_and_reads_how_many_are_before_them(
    page, monkeypatch
):
    said = []
    monkeypatch.setattr(waiting, "before_words", lambda before: said.append(before) or before_words(before))
    with ThreadPoolExecutor(2) as pool:
        with ExitStack() as others:
            for number in range(server.TURNS):
                others.enter_context(server.turns.taken(f"visitor {number}"))
            pool.submit(take_a_turn, "one who came before")
            while not server.turns._waiting:
                time.sleep(0.001)
            run = pool.submit(page.run)
            while not said:
                time.sleep(0.01)
        assert len(headlines(run.result(60))) == 1
    assert said[0] == 1 and not page.info
    assert [before_words(number) for number in (0, 1, 3)] == [
        "You are next",
        "1 visitor before you",
        "3 visitors before you",
    ]


def take_a_turn(visitor: str) -> None:
    with server.turns.taken(visitor):
        pass


def test_the_page_says_what_its_time_went_to(page):
    upload(page, ("b.png", photo("Jeans", "WEBP")))
    line = page.caption[-1].value
    assert re.fullmatch(r"Shown in \d+ ms: decode \d+, (queue \d+, )?network \d+, (heat map \d+, )?page \d+", line)
    page.toggle("heat").set_value(False).run()
    assert re.fullmatch(r"Shown in \d+ ms: (queue \d+, )?(heat map \d+, )?page \d+", page.caption[-1].value)


def test_a_turn_is_given_back_when_a_page_stops_early_or_fails(runs):
    page = AppTest.from_file(
        str(ROOT / "pages" / "1_Classify.py"), default_timeout=60
    ).run()  # no photo: it stops early
    (runs / "current.json").write_text("{")
    del page.session_state["classifier"]
    assert page.run().error
    assert sorted(server.turns._free) == list(range(server.TURNS))


def test_the_collector_looks_through_what_came_after_the_last_module_and_through_no_module(monkeypatch):
    class Cycle:
        def __init__(self):
            self.itself = self

    monkeypatch.setitem(sys.modules, "a_module_like_no_other", types.ModuleType("a_module_like_no_other"))
    monkeypatch.setattr(server, "_modules_seen", 0)
    try:
        with shell.errors_shown():
            pass
        frozen, seen = gc.get_freeze_count(), len(gc.get_objects())
        cycle = weakref.ref(Cycle())
        gc.collect()
        assert cycle() is None
        assert frozen > 100 * seen
    finally:
        gc.unfreeze()


def test_the_server_never_makes_a_navigation_from_the_folder_of_pages_whichever_page_is_opened_first():
    script = (
        "import Home; from streamlit.runtime.pages_manager import PagesManager as Pages; "
        "Pages('Home.py'); print(Pages.uses_pages_directory)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
