"""The batch page as a script: photos and zips go in, a table comes out, and what is wrong is named."""

import io
import zipfile

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from core.artifacts.labels import OUT_OF_SCOPE
from core.bulk.table import NEEDS_REVIEW
from core.images.decode import Photo, display_name, plain_name
from core.images.region import Region
from core.inference.classifier import Classifier, Found
from core.inference.engine import Engine
from core.samples import garments
from core.ui.batch import results
from core.ui.markdown import literal
from tests.conftest import ROOT


@pytest.fixture
def page(random_runs) -> AppTest:
    return AppTest.from_file(str(ROOT / "pages" / "4_Batch.py"), default_timeout=60).run()


@pytest.fixture
def shipped_page() -> AppTest:
    """With the network that ships, which refuses what is no garment."""
    return AppTest.from_file(str(ROOT / "pages" / "4_Batch.py"), default_timeout=60).run()


def photo(name: str = "Tshirts", seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    garments.sample(name, seed, (90, 120)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def upload(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    return page.file_uploader[0].set_value([(name, data, "application/octet-stream") for name, data in files]).run()


def button(page: AppTest, label: str) -> Button:
    return next(button for button in page.button if button.label == label)


def text(page: AppTest) -> str:
    """What the page says, as it is read: Markdown's backslashes taken out."""
    return "\n".join(element.value for element in page.markdown).replace("\\", "")


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def test_an_empty_page_says_what_to_do(page):
    assert "Drop photos" in page.info[0].value and not page.exception


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "![x](http://elsewhere/a)", "two\nlines", "\u202egpj.exe", "n" * 300]
)
def test_a_hostile_name_is_text_in_the_table_and_in_messages(page, name):
    upload(page, (f"{name}.png", photo()), (f"{name}.zip", b"no zip file"))
    (shown,) = page.dataframe[0].value["file"]
    assert shown == plain_name(f"{name}.png")
    (message,) = page.error
    assert message.value.startswith(literal(display_name(f"{name}.zip"))) and not page.exception
    assert not any("<img src=x" in html.proto.body for html in page.get("html"))


def test_without_photos_drawn_garments_show_what_the_page_does_until_photos_come(page):
    button(page, "Try samples").click().run()
    assert metrics(page)["Classified"] == "15" and not page.error and not page.exception
    upload(page, ("shirt.png", photo()))
    assert list(page.dataframe[0].value["file"]) == ["shirt.png"]


def test_a_photo_that_ends_its_decoder_is_refused_and_the_others_are_classified(page, deadly):
    deadly(photo("Jeans"))
    upload(page, ("shirt.png", photo()), ("jeans.png", photo("Jeans")), ("skirt.png", photo("Skirts")))
    assert sorted(page.dataframe[0].value["file"]) == ["shirt.png", "skirt.png"] and not page.exception
    assert "jeans.png could not be read: the program that decodes photos stopped" in text(page)


def test_a_zip_beside_a_photo_gives_a_table_with_thumbnails_and_counts(page):
    inside = archive(**{"in/a.png": photo("Jeans"), "in/b.png": photo("Skirts"), "readme.txt": b"text"})
    upload(page, ("shirt.png", photo()), ("photos.zip", inside))
    shown = page.dataframe[0].value
    assert sorted(shown["file"]) == ["photos.zip/in/a.png", "photos.zip/in/b.png", "shirt.png"]
    assert shown["thumbnail"].str.startswith("data:image/jpeg;base64,").all()
    assert shown["probability"].is_monotonic_increasing
    assert metrics(page)["Classified"] == "3" and not page.error and not page.exception


def test_no_photo_out_of_scope_has_a_class_or_a_bar(shipped_page):
    button(shipped_page, "Try samples").click().run()
    shown = shipped_page.dataframe[0].value.set_index("file")
    other = shown.loc[[file for file in shown.index if file.startswith("Something else")]]
    assert len(other) == 3 and set(other["status"]) == {OUT_OF_SCOPE} and other["probability"].isna().all()
    assert other["class"].str.match("Looks like|Closest: ").all()
    assert metrics(shipped_page)[OUT_OF_SCOPE] == str((shown["status"] == OUT_OF_SCOPE).sum())
    shipped_page.segmented_control("batch_shown").set_value(OUT_OF_SCOPE).run()
    assert set(shipped_page.dataframe[0].value["status"]) == {OUT_OF_SCOPE}


def test_what_cannot_be_read_is_named_with_the_reason_and_the_rest_goes_on(page):
    upload(page, ("notes.jpg", b"just some text"), ("shirt.png", photo()), ("bad.zip", b"no zip"))
    assert "bad.zip is no readable zip file" in page.error[0].value
    assert metrics(page)["Classified"] == "1" and metrics(page)["Unreadable"] == "1"
    assert "- notes.jpg is a text file, not a photo" in text(page)


def test_nothing_but_unreadable_files_is_no_crash(page):
    upload(page, ("notes.jpg", b"just some text"))
    assert metrics(page)["Classified"] == "0" and not page.error and not page.exception


def test_what_is_classified_is_not_classified_again(page, monkeypatch):
    upload(page, ("shirt.png", photo()))
    monkeypatch.setattr("core.inference.engine.Engine.run", lambda *_: pytest.fail("a forward pass"))
    page.segmented_control("batch_shown").set_value(NEEDS_REVIEW).run()
    assert metrics(page)["Classified"] == "1" and not page.error and not page.exception


def test_photos_are_added_to_those_here_stay_for_the_visit_and_go_at_a_click(page):
    upload(page, ("shirt.png", photo()))
    upload(page, ("jeans.png", photo("Jeans")))
    assert sorted(page.dataframe[0].value["file"]) == ["jeans.png", "shirt.png"]
    button(page, "Remove all photos").click().run()
    assert "Drop photos" in page.info[0].value and not page.dataframe


def test_a_row_opens_its_photo_in_classify_with_a_way_back_to_the_same_table(random_runs):
    """What a button of the table leaves is put in its place: scripts cannot click one."""
    page = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60).run().switch_page("pages/4_Batch.py").run()
    upload(page, ("shirt.png", photo()), ("jeans.png", photo("Jeans")))
    shown = page.dataframe[0].value["file"].tolist()
    page.session_state[results.OPENED] = 1
    page.run()
    assert page.title[0].value == "Classify" and not page.error and not page.exception
    assert [kept.name for kept in page.session_state["photos"].values()] == ["jeans.png"]
    assert page.get("page_link")[0].proto.page == "Batch"
    assert not any("True class" in element.value for element in page.markdown)
    page.switch_page("pages/4_Batch.py").run()
    assert page.dataframe[0].value["file"].tolist() == shown


def test_garments_of_a_photo_are_rows_of_their_own_and_a_photo_without_any_keeps_its_row(page, monkeypatch):
    def find(classifier: Classifier, photo: Photo, *_: object) -> list[Found]:
        boxes = [Region(0, 0, 90, 60), Region(10, 60, 80, 120)] if photo.name == "street.png" else []
        answers = (classifier.answer(reading) for reading in classifier.read([(photo, box) for box in boxes]))
        return [Found(box, (), answer, "upper", 0.9, 0.3) for box, answer in zip(boxes, answers, strict=True)]

    monkeypatch.setattr(Classifier, "finds", True)
    monkeypatch.setattr(Classifier, "find", find)
    upload(page, ("street.png", photo()), ("shirt.png", photo("Jeans")), ("notes.jpg", b"text"))
    page.segmented_control("batch_rows").set_value("Garments").run()
    assert sorted(page.dataframe[0].value["file"]) == ["shirt.png", "street.png", "street.png"]
    assert metrics(page)["Classified"] == "3" and metrics(page)["Unreadable"] == "1" and not page.exception


def test_an_interrupted_run_is_continued(page, monkeypatch):
    """The network fails at the second batch; the next run classifies only what is left."""
    run, sizes = Engine.run, []

    def failing(engine, pixels):
        sizes.append(len(pixels))
        if sizes.count(4) == 1 and len(pixels) == 4:
            raise RuntimeError("interrupted")
        return run(engine, pixels)

    monkeypatch.setattr("core.inference.engine.Engine.run", failing)
    upload(page, *((f"{number}.png", photo(seed=number)) for number in range(100, 120)))
    assert page.error
    page.run()
    assert sorted(sizes) == [4, 4, 8, 8] and metrics(page)["Classified"] == "20"
