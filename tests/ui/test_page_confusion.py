"""The confusion page as a script: every number it shows against pandas and scipy, and what it says to missing and wrong input."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest

from core.artifacts.run import sha256_of
from core.feedback import Correction, decisions, store
from core.images.region import Region
from core.inference.verdict import class_name
from tests.conftest import GROUPS, ROOT
from tests.prediction_tables import NAMES, prediction_table, write_run
from tests.run_factory import write_live_run

PAGE = "pages/3_Confusion_matrix.py"
TABS = [
    *("Matrix", "Classes", "Confused pairs", "Slices", "Map", "Phone and worn", "Threshold", "Calibration"),
    *("Review", "Cohorts", "Stages", "Compare runs"),
]


def with_answers(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(answer=table[list(NAMES)].idxmax(axis=1), confidence=table[list(NAMES)].max(axis=1))


@pytest.fixture(scope="module")
def table():
    return with_answers(prediction_table())


@pytest.fixture(scope="module")
def runs(tmp_path_factory, table):
    """Three runs: one with predictions of its test and of its stages, an older one of the same photos, and a published one."""
    folder = tmp_path_factory.mktemp("runs")
    test = table.drop(columns=["answer", "confidence"])
    stages = {f"validation_stage{k}.csv": prediction_table(200, seed=10 + k) for k in (1, 2, 3, 4)}
    older = test.assign(**dict(zip(NAMES, np.roll(test[list(NAMES)].to_numpy(), 3, axis=0).T, strict=True)))
    write_run(folder / "shipped", {"predictions.csv": test, **stages}, created="2026-03-01T00:00:00+00:00")
    write_run(folder / "older", {"predictions.csv": older})
    write_run(folder / "published", {}, origin="published", created="2025-01-01T00:00:00+00:00")
    (folder / "current.json").write_text('{"run_id": "shipped"}')
    return folder


@pytest.fixture
def open_page(runs, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(runs))
    monkeypatch.delenv("GARMENTS_DATA", raising=False)

    def open_(**query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / PAGE), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    return open_


@pytest.fixture
def page(open_page):
    return open_page()


def text(app: AppTest) -> str:
    """What the page says, as it is read: Markdown's backslashes taken out."""
    return "\n".join(element.value for element in [*app.subheader, *app.markdown, *app.caption]).replace("\\", "")


def cards(app: AppTest) -> list[str]:
    """The photos listed, their names first."""
    return [
        element.value.replace("\\", "")
        for element in app.markdown
        if ":gray[:small[id " in element.value.replace("\\", "")
    ]


def interval(right: int, n: int) -> str:
    ends = binomtest(right, n).proportion_ci(method="wilson")
    return f"{100 * ends.low:.1f}–{ends.high:.1%}"


def right(table: pd.DataFrame) -> int:
    return int((table["label"] == table["answer"]).sum())


def test_the_headline_is_pandas_accuracy_and_scipys_interval(page, table):
    assert not page.exception and not page.error
    assert page.subheader[0].value == f"Accuracy {right(table) / len(table):.1%} on 300 photos"
    assert f"95% CI {interval(right(table), 300)}." in text(page)
    mistakes = table[table["label"] != table["answer"]].groupby(["label", "answer"]).size()
    assert f"Most frequent mistake: {mistakes.max()} of " in text(page)


def test_the_threshold_answers_fewer_photos(page, table):
    page.slider("matrix_above").set_value(0.8).run()
    answered = table[table["confidence"] >= 0.8]
    assert page.subheader[0].value == (
        f"Accuracy {right(answered) / len(answered):.1%} at {len(answered) / 300:.1%} coverage (confidence 0.80 or more)"
    )
    assert f"95% CI {interval(right(answered), len(answered))}, {len(answered)} of 300 photos." in text(page)


@pytest.mark.parametrize(
    ("widget", "key", "value", "condition"),
    [
        ("button_group", "matrix_group", ["Bottoms"], lambda t: t["group"] == "Bottoms"),
        ("button_group", "matrix_gender", ["Women"], lambda t: t["product"].str.contains(" Women ")),
        ("button_group", "matrix_colour", ["Red", "Blue"], lambda t: t["colour"].isin(["Red", "Blue"])),
        (
            "button_group",
            "matrix_duplicates",
            ["near-duplicate"],
            lambda t: t["duplicate_group"].duplicated(keep=False),
        ),
        ("slider", "matrix_confidence", (0.5, 0.9), lambda t: t["confidence"].between(0.5, 0.9)),
    ],
)
def test_a_filter_changes_the_headline(page, table, widget, key, value, condition):
    getattr(page, widget)(key).set_value(value).run()
    kept = table[condition(table)]
    assert page.subheader[0].value == f"Accuracy {right(kept) / len(kept):.1%} on {len(kept)} photos"


def test_reset_brings_every_photo_back(page, table):
    page.button_group("matrix_colour").set_value(["Red"]).run()
    page.slider("matrix_above").set_value(0.8).run()
    next(button for button in page.button if button.label == "Reset filters").click().run()
    assert page.subheader[0].value.endswith("on 300 photos")


def behind(table: pd.DataFrame, true: str, called: str) -> pd.DataFrame:
    photos = table[(table["label"] == true) & (table["answer"] == called)]
    return photos.sort_values("confidence", ascending=False)


def choose(app: AppTest, true: str, called: str) -> AppTest:
    app.selectbox("matrix_true").set_value(true)
    return app.selectbox("matrix_called").set_value(called).run()


def test_a_cell_lists_its_photos_most_confident_first(page, table):
    choose(page, "Tops", "Shirts")
    photos, of = behind(table, "Tops", "Shirts"), (table["label"] == "Tops").sum()
    assert (
        f"**{len(photos)} of {of} Tops predicted as Shirts ({len(photos) / of:.1%}, 95% CI {interval(len(photos), of)}).**"
        in text(page)
    )
    listed = cards(page)
    assert len(listed) == min(len(photos), 6) > 1
    for card, (_, photo) in zip(listed, photos.iterrows(), strict=False):
        assert card.startswith(photo["product"])
        assert f"**Shirts {photo['Shirts']:.1%}, true class Tops {photo['Tops']:.1%}**" in card
        assert f"id {photo['id']} · {photo['colour']} · {photo['usage']}" in card


def test_right_answers_are_paged(page, table):
    choose(page, "Jeans", "Jeans")
    photos = behind(table, "Jeans", "Jeans")
    assert [card.split("  \n")[0] for card in cards(page)] == photos["product"].tolist()[:6]
    assert f"**Jeans {photos['Jeans'].iloc[0]:.1%}**" in cards(page)[0]
    page.get("pagination")[0].set_value(2).run()
    assert [card.split("  \n")[0] for card in cards(page)] == photos["product"].tolist()[6:12]


def test_a_cell_survives_another_normalisation_and_the_words_follow(page, table):
    choose(page, "Tops", "Shirts")
    before = cards(page)
    page.button_group("matrix_show").set_value("predicted").run()
    called, photos = (table["answer"] == "Shirts").sum(), len(behind(table, "Tops", "Shirts"))
    assert f"{photos} of {called} photos predicted as Shirts are Tops ({photos / called:.1%}" in text(page)
    assert cards(page) == before


def test_a_link_opens_its_cell(open_page, table):
    page = open_page(matrix_true="Tops", matrix_called="Shirts", matrix_colour="Red")
    red = table[table["colour"] == "Red"]
    assert [card.split("  \n")[0] for card in cards(page)] == behind(red, "Tops", "Shirts")["product"].tolist()[:6]


def test_a_link_to_a_class_that_there_is_not_opens_the_page_and_says_so(open_page):
    page = open_page(matrix_true="Socks", matrix_called="Shirts", matrix_tab="Nowhere")
    assert not page.exception and page.selectbox("matrix_true").value is None
    assert [warning.value for warning in page.warning] == ["No class of these predictions: Socks."]


def test_the_address_carries_the_id_of_the_run_even_of_the_default(page):
    assert page.query_params["matrix_run"] == "shipped"
    page.selectbox("matrix_run").set_value("older").run()
    assert page.query_params["matrix_run"] == "older"


def test_a_run_that_is_not_here_is_named_and_stays_in_the_address_until_another_choice(open_page):
    page = open_page(matrix_run="gone")
    assert [warning.value for warning in page.warning] == ["This run is not here: gone. Shown instead: Run shipped."]
    page.selectbox("matrix_order").set_value("size").run()
    assert page.query_params["matrix_run"] == "gone" and page.warning
    page.selectbox("matrix_run").set_value("older").run()
    assert page.query_params["matrix_run"] == "older" and not page.warning


def test_an_address_that_changes_while_the_page_is_open_is_followed(page, table):
    choose(page, "Tops", "Shirts")
    assert page.query_params["matrix_called"] == "Shirts"
    page.selectbox("matrix_run").set_value("older").run()
    assert page.selectbox("matrix_true").value is None and "matrix_true" not in page.query_params
    page.query_params.update({"matrix_run": "shipped", "matrix_true": "Tops", "matrix_called": "Shirts"})
    page.run()
    assert page.selectbox("matrix_run").value == "shipped"
    assert [card.split("  \n")[0] for card in cards(page)] == behind(table, "Tops", "Shirts")["product"].tolist()[:6]


def test_without_a_cell_the_most_frequent_mistakes_lead_to_theirs(page, table):
    mistakes = table[table["label"] != table["answer"]].groupby(["label", "answer"]).size()
    button = page.button("matrix_pair_0")
    assert button.label.endswith(f"({mistakes.max()})")
    button.click().run()
    pair = page.selectbox("matrix_true").value, page.selectbox("matrix_called").value
    assert mistakes[pair] == mistakes.max()


def test_an_empty_cell_and_a_class_without_samples_say_so(page):
    choose(page, "Swimwear", "Shirts")
    assert "No Swimwear (n = 0)" in text(page) and "No photos in this cell." in text(page)


def test_names_are_shown_as_they_are_and_never_as_markup(open_page, runs, table, tmp_path, monkeypatch):
    hostile = "[x](javascript:alert(1)) <script>alert(1)</script> **bold**"
    test = table.drop(columns=["answer", "confidence"]).assign(product=hostile)
    write_run(tmp_path / "runs" / "hostile", {"predictions.csv": test})
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    page = open_page(matrix_true="Jeans", matrix_called="Jeans")
    assert all(card.startswith(hostile) for card in cards(page)) and cards(page)
    raw = next(element.value for element in page.markdown if "javascript" in element.value)
    assert r"\[x\]\(javascript" in raw and r"\<script\>" in raw and r"\*\*bold" in raw


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens(open_page, tab):
    page = open_page(matrix_tab=tab)
    assert not page.exception and not page.error
    assert page.get("plotly_chart") or page.dataframe or tab in ("Map", "Phone and worn", "Cohorts")


def test_classes_are_pandas_rates(open_page, table):
    page = open_page(matrix_tab="Classes")
    shown = page.dataframe[0].value.set_index("Class")
    for name in NAMES:
        members, called = table[table["label"] == name], table[table["answer"] == name]
        row = shown.loc[class_name(name)]
        assert (row["Photos"], row["Predicted"]) == (len(members), len(called))
        if len(members):
            hits = right(members)
            assert row["Recall"] == pytest.approx(100 * hits / len(members))
            assert row["Recall, 95% CI"] == interval(hits, len(members))
            assert row["Precision"] == pytest.approx(100 * hits / len(called))
        else:
            assert np.isnan(row["Recall"]) and row["Recall, 95% CI"] == ""


def test_pairs_are_pandas_mistakes(open_page, table):
    shown = open_page(matrix_tab="Confused pairs").dataframe[0].value
    mistakes = table[table["label"] != table["answer"]].groupby(["label", "answer"]).size()
    pairs = zip(shown["True class"], shown["Predicted class"], strict=True)
    assert dict(zip(pairs, shown["Photos"], strict=True)) == {
        (class_name(true), class_name(called)): count for (true, called), count in mistakes.items()
    }


def test_calibration_is_pandas_ranks_and_the_definition_of_calibration_error(open_page, table):
    page = open_page(matrix_tab="Calibration")
    ranks = table[list(NAMES)].rank(axis=1, ascending=False, method="first")
    own = np.array([ranks.loc[i, label] for i, label in table["label"].items()])
    for k, metric in zip((1, 2, 3), page.metric, strict=False):
        assert metric.value == f"{(own <= k).mean():.1%}"
    assert page.metric[3].value == f"{calibration_error(table['confidence'], table):.1%}"
    powers = table[list(NAMES)] ** 1.3  # the run's temperature
    before = powers.max(axis=1) / powers.sum(axis=1)
    assert f"{calibration_error(before, table):.1%} before temperature scaling" in text(page)


def calibration_error(confidence: pd.Series, table: pd.DataFrame) -> float:
    correct = table["label"] == table["answer"]
    bins = pd.cut(confidence, np.linspace(0, 1, 16))
    gaps = (correct.groupby(bins, observed=True).mean() - confidence.groupby(bins, observed=True).mean()).abs()
    return float((gaps * bins.value_counts().reindex(gaps.index)).sum() / len(table))


def test_stages_show_the_validation_photos(open_page, runs):
    page = open_page(matrix_tab="Stages")
    last = with_answers(pd.read_csv(runs / "shipped" / "validation_stage4.csv"))
    assert f"After stage 4, everything: Accuracy {right(last) / 200:.1%} on 200 photos." in text(page)
    page.select_slider("matrix_stage").set_value(2).run()
    page.toggle("matrix_change").set_value(True).run()
    second = with_answers(pd.read_csv(runs / "shipped" / "validation_stage2.csv"))
    assert f"After stage 2, layer4: Accuracy {right(second) / 200:.1%} on 200 photos." in text(page)
    assert "Blue: better" in text(page)


def test_two_runs_are_compared_photo_by_photo(open_page, runs, table):
    page = open_page(matrix_tab="Compare runs")
    other = with_answers(pd.read_csv(runs / "older" / "predictions.csv"))
    both = table.merge(other, on="id")
    right_a, right_b = both["label_x"] == both["answer_x"], both["label_y"] == both["answer_y"]
    only_a, only_b = (right_a & ~right_b).sum(), (~right_a & right_b).sum()
    assert f"{only_a:,} photos are correct in Run shipped only, {only_b:,} in Run older only" in text(page)
    assert binomtest(
        only_a, only_a + only_b
    ).pvalue < 0.001 and "Run shipped is significantly better (McNemar p < 0.001)" in text(page)
    assert set(page.dataframe[0].value["id"]) == set(both["id"][right_a & ~right_b].astype(str))


def test_a_run_without_predictions_says_so(open_page):
    page = open_page(matrix_run="Run published")
    assert len(page.info) == 1 and "“Run published” has no predictions of single photos" in page.info[0].value
    assert not page.exception and not page.get("plotly_chart")


def test_no_run_at_all_says_so(open_page, tmp_path, monkeypatch):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    page = open_page()
    assert "There is no run yet" in page.info[0].value and not page.exception


def test_a_damaged_file_is_told_so(open_page, table, tmp_path, monkeypatch):
    run = write_run(tmp_path / "runs" / "damaged", {"predictions.csv": prediction_table(50)})
    (run.folder / "predictions.csv").write_text("id,label\n")
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    page = open_page()
    assert "is damaged or was replaced" in page.error[0].value and not page.exception


def test_filters_that_keep_nothing_and_thresholds_above_all_say_so(open_page):
    page = open_page(matrix_confidence=["0.0", "0.01"])
    assert "No photo passes these filters" in page.info[0].value
    page = open_page(matrix_confidence=["0.0", "0.5"], matrix_above="0.9")
    assert "No prediction has a confidence of 0.90" in page.info[0].value
    assert not page.exception


def upload(page: AppTest, data: bytes | pd.DataFrame, name: str = "mine.csv") -> AppTest:
    content = data if isinstance(data, bytes) else data.to_csv(index=False).encode()
    return page.file_uploader("matrix_upload").set_value((name, content, "text/csv")).run()


def test_an_uploaded_test_set_is_analysed_and_kept(page):
    mine = with_answers(prediction_table(120, seed=5))
    upload(page, mine.drop(columns=["answer", "confidence"]))
    assert page.selectbox("matrix_run").value == "own" and not page.error
    assert page.subheader[0].value == f"Accuracy {right(mine) / 120:.1%} on 120 photos"
    page.selectbox("matrix_run").set_value("shipped").run()
    assert page.subheader[0].value.endswith("on 300 photos")
    page.selectbox("matrix_run").set_value("own").run()
    assert page.subheader[0].value.endswith("on 120 photos")


@pytest.mark.parametrize("tab", TABS)
def test_an_uploaded_test_set_without_details_opens_in_every_tab(open_page, tab):
    page = open_page(matrix_tab=tab)
    upload(page, prediction_table(120, seed=5)[["id", "label", *NAMES]])
    assert not page.exception and not page.error and page.subheader[0].value.endswith("on 120 photos")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "mine.csv cannot be read as a table: it is empty"),
        (b"id,label\n1,Jeans\n", "neither a column of probabilities for each class nor a column prediction"),
        (prediction_table(20).iloc[:0], "mine.csv has no rows"),
        (prediction_table(20).assign(label="Socks"), "labels that are no class of this run: “Socks” (lines 2, 3"),
        (prediction_table(20).assign(Jeans=np.nan), "empty or infinite probabilities in 20 of 20 rows"),
    ],
)
def test_a_wrong_upload_is_told_so_and_the_run_stays(page, data, message):
    upload(page, data)
    assert message in page.error[0].value.replace("\\", "")
    assert page.subheader[0].value.endswith("on 300 photos") and not page.exception


def test_an_upload_of_one_class_is_shown_with_a_warning(page):
    table = prediction_table(200)
    upload(page, table[table["label"] == "Jeans"])
    assert "All these photos are Jeans" in page.warning[0].value and not page.exception


@pytest.fixture
def photos(open_page, tmp_path, table, monkeypatch) -> bytes:
    """The data set on this machine, with the photos of all but the first product of a cell; gives the bytes of each."""
    (tmp_path / "images").mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (60, 80), "red").save(buffer, "JPEG")
    for photo in behind(table, "Tops", "Shirts")["id"][1:]:
        (tmp_path / "images" / f"{photo}.jpg").write_bytes(buffer.getvalue())
    monkeypatch.setenv("GARMENTS_DATA", str(tmp_path))
    return buffer.getvalue()


def test_photos_are_shown_where_they_are(open_page, photos, table):
    page = choose(open_page(), "Tops", "Shirts")
    count = min(len(behind(table, "Tops", "Shirts")), 6)
    assert len(page.get("image")) == count - 1 > 0
    assert "GARMENTS_DATA" not in text(page)


def test_without_the_data_set_the_page_says_how_to_see_photos(page):
    choose(page, "Tops", "Shirts")
    assert not page.get("image") and "set `GARMENTS_DATA` to the data set's zip file or folder" in text(page)


def test_a_photo_opens_in_classify_with_its_label_and_a_way_back(
    open_page, photos, table, random_run, runs, tmp_path, monkeypatch
):
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "random").symlink_to(random_run.folder)  # the classify page needs a network
    (folder / "shipped").symlink_to(runs / "shipped")
    (folder / "current.json").write_text('{"run_id": "random"}')
    monkeypatch.setenv("GARMENTS_RUNS", str(folder))
    app = AppTest.from_file(str(ROOT / "Home.py"), default_timeout=60)
    app.switch_page(PAGE)
    app.query_params["matrix_true"], app.query_params["matrix_called"] = "Tops", "Shirts"
    app.run()
    next(button for button in app.button if str(button.key).startswith("matrix_open_")).click().run()
    first_with_photo = behind(table, "Tops", "Shirts").iloc[1]
    assert [photo.name for photo in app.session_state["photos"].values()] == [f"{first_with_photo['id']}.jpg"]
    assert app.title[0].value == "Classify" and not app.exception
    assert "True class: **Tops**" in [markdown.value for markdown in app.markdown]
    back = app.get("page_link")[0].proto
    assert (
        back.page == "Confusion_matrix"
        and back.query_string == "matrix_true=Tops&matrix_called=Shirts&matrix_run=shipped"
    )


@pytest.fixture
def review(open_page, tmp_path, table, monkeypatch):
    """The queue, with photos of all products on this machine and two reported mistakes, one with its photo."""
    (tmp_path / "images").mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (60, 80), "red").save(buffer, "JPEG")
    for photo in table["id"]:
        (tmp_path / "images" / f"{photo}.jpg").write_bytes(buffer.getvalue())
    file = tmp_path / "feedback.sqlite3"
    said = Correction("Jeans", "a" * 64, (60, 80), Region(0, 0, 60, 80), "shipped", "Tops", 0.5)
    store(file, said, Image.new("RGB", (60, 80), "blue"))
    store(file, replace(said, photo_sha256="b" * 64))
    monkeypatch.setenv("GARMENTS_DATA", str(tmp_path))
    monkeypatch.setenv("GARMENTS_FEEDBACK", str(file))
    return file


def press(page: AppTest, key: str) -> AppTest:
    return next(button for button in page.button if button.key == key).click().run()


def test_reported_and_suspected_labels_are_one_queue_whose_decisions_stay(open_page, review, monkeypatch):
    monkeypatch.setenv("GARMENTS_REVIEW", "on")
    page = open_page(matrix_tab="Review")
    assert "Reported mistake" in text(page) and "A visitor says **Jeans**" in text(page)
    press(page, "review_1")
    assert decisions(review) == {"500000001": "Jeans"}
    assert "Suspected label error" in text(page) and "instead of" not in text(page)
    press(page, "review_1")
    assert "With this correction the test accuracy is" in text(page) and len(decisions(review)) == 2
    press(page, "review_back")
    assert decisions(review) == {"500000001": "Jeans"} and "instead of" not in text(page)
    press(page, "review_0")
    (_, left_out) = decisions(review).values()
    assert left_out == "" and not page.exception


def test_what_visitors_reported_is_shown_to_nobody_where_it_is_not_asked_for(open_page, review):
    page = open_page(matrix_tab="Review")
    assert "Suspected label error" in text(page) and "Reported mistake" not in text(page)
    press(page, "review_1")
    assert "With this correction the test accuracy is" in text(page)
    assert decisions(review) == {} and not page.exception


def analyse(page: AppTest, name: str) -> AppTest:
    """Choose a test set on the server."""
    page.selectbox("matrix_test_set").set_value(name).run()
    return next(button for button in page.button if button.label == "Analyse").click().run()


def test_a_folder_of_labelled_photos_is_classified_and_analysed(tmp_path, random_runs, monkeypatch):
    for name in ("Jeans", "shirts"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (60, 80), (40 * i, 90, 120)).save(tmp_path / "mine" / name / f"{i}.png")
    (tmp_path / "mine" / "Jeans" / "[broken](x).jpg").write_bytes(b"no photo")
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path))
    page = analyse(AppTest.from_file(str(ROOT / PAGE), default_timeout=60).run(), "mine")
    assert page.subheader[0].value.endswith("on 6 photos") and not page.exception
    assert r"Jeans/\[broken\]\(x\).jpg is left out." in page.warning[0].value
    assert page.selectbox("matrix_true").options == [class_name(name) for names in GROUPS.values() for name in names]


def test_a_folder_that_is_no_test_set_is_told_so(tmp_path, random_runs, monkeypatch):
    (tmp_path / "mine" / "Socks").mkdir(parents=True)
    Image.new("RGB", (60, 80)).save(tmp_path / "mine" / "Socks" / "a.png")
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path))
    page = analyse(AppTest.from_file(str(ROOT / PAGE), default_timeout=60).run(), "mine")
    assert (
        "has folders that are no class" in page.error[0].value and "Socks" in page.error[0].value and not page.exception
    )


def test_a_data_set_that_is_gone_is_told_so_and_the_page_goes_on(open_page, monkeypatch):
    monkeypatch.setenv("GARMENTS_DATA", "/nowhere")
    page = open_page()
    assert "/nowhere, which does not exist" in page.warning[0].value and page.subheader and not page.error


def test_a_visitor_cannot_name_a_path(page, tmp_path, monkeypatch):
    (label,) = (caption.value for caption in page.caption if "GARMENTS_TEST_SETS" in caption.value)
    assert "start the dashboard" in label and not page.text_input
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path / "nowhere"))
    page.run()
    assert "nowhere cannot be read" in page.error[0].value and page.subheader and not page.text_input


def test_a_filter_value_that_another_run_lacks_is_let_go(page):
    page.button_group("matrix_colour").set_value(["Red"]).run()
    mine = prediction_table(120, seed=5)
    upload(page, mine[mine["colour"] != "Red"])
    count = (mine["colour"] != "Red").sum()
    assert page.subheader[0].value.endswith(f"on {count} photos") and not page.exception


def test_a_photo_without_details_is_listed_by_its_id(page):
    mine = prediction_table(60, seed=5).assign(product=None, colour=None, usage=None)
    choose(upload(page, mine), "Jeans", "Jeans")
    first = with_answers(mine).pipe(behind, "Jeans", "Jeans").iloc[0]
    assert cards(page)[0].startswith(f"Photo {first['id']}  \n") and cards(page)[0].endswith(f"[id {first['id']}]]")


def test_a_table_on_the_server_is_analysed(page, tmp_path, monkeypatch):
    mine = with_answers(prediction_table(120, seed=5))
    mine.drop(columns=["answer", "confidence"]).to_parquet(tmp_path / "mine.parquet")
    monkeypatch.setenv("GARMENTS_TEST_SETS", str(tmp_path))
    analyse(page.run(), "mine.parquet")
    assert page.subheader[0].value == f"Accuracy {right(mine) / 120:.1%} on 120 photos" and not page.error


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "still in training, stage 2 of 4."),
        ({"updated": 0.0}, "trainer died before the end. Continue with `python -m train --resume"),
    ],
)
def test_a_run_in_training_is_called_so_without_advice_on_files(open_page, table, tmp_path, monkeypatch, told, said):
    write_run(tmp_path / "done", {"predictions.csv": table.drop(columns=["answer", "confidence"])})
    write_live_run(tmp_path, "live", 1, **told)
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    left_out = [caption.value for caption in open_page().caption if "left out" in caption.value]
    assert len(left_out) == 1 and f"`live` is left out: {said}" in left_out[0]
    assert "git checkout" not in left_out[0] and "manifest.json" not in left_out[0]


def test_a_comparison_opens_on_the_run_with_most_photos_in_common_and_names_those_it_cannot_compare(
    open_page, table, tmp_path, monkeypatch
):
    test = table.drop(columns=["answer", "confidence"])
    newer = {"created": "2026-03-01T00:00:00+00:00"}
    write_run(tmp_path / "shipped", {"predictions.csv": test})
    write_run(tmp_path / "same", {"predictions.csv": test}, name="twin")
    write_run(tmp_path / "part", {"predictions.csv": test[:50]}, name="twin", **newer)
    relabelled = test[:5].assign(label=["Tops" if label != "Tops" else "Jeans" for label in test["label"][:5]])
    others = prediction_table(5, seed=3).assign(id=range(5))
    write_run(tmp_path / "drawn", {"predictions.csv": pd.concat([relabelled[:1], others])}, **newer)
    (tmp_path / "current.json").write_text('{"run_id": "shipped"}')
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path))
    page = open_page(matrix_tab="Compare runs")
    assert page.selectbox("matrix_with").value == "same" and "300 photos in common." in text(page)
    assert page.selectbox("matrix_with").options == ["twin (same)", "twin (part)"]
    assert "Run drawn: The two have different true classes for 1 photo (such as id" in text(page)
    assert not page.info and not page.exception


def test_an_own_test_set_logs_no_warning_and_lets_the_cell_of_the_run_before_go(page, set_twice):
    choose(page, "Tops", "Shirts")
    upload(page, prediction_table(120, seed=5))
    assert page.selectbox("matrix_run").value == "own"
    assert page.selectbox("matrix_true").value is None and page.selectbox("matrix_called").value is None
    choose(page, "Tops", "Shirts")
    assert page.selectbox("matrix_true").value == "Tops"
    assert not set_twice


def test_a_predicted_class_without_probabilities_gives_a_matrix_without_calibration(page, table):
    mine = table[["id", "label"]].assign(prediction=table["answer"])
    choose(upload(page, mine), "Tops", "Shirts")
    assert page.subheader[0].value == f"Accuracy {right(table) / 300:.1%} on 300 photos" and not page.exception
    assert "**Shirts, true class Tops**" in cards(page)[0]
    assert not [slider for slider in page.slider if slider.key in ("matrix_above", "matrix_confidence")]
    names = [tab.label for tab in page.tabs]
    assert "Matrix" in names and not {"Threshold", "Calibration", "Review"} & set(names)


def test_how_an_own_file_was_read_is_told(page, table):
    text_ = table.drop(columns=["answer", "confidence"]).to_csv(index=False, sep=";", decimal=",")
    upload(page, text_.encode("cp1252"))
    assert "Columns are separated by semicolons, and numbers have decimal commas." in text(page)
    assert page.subheader[0].value == f"Accuracy {right(table) / 300:.1%} on 300 photos" and not page.exception


def test_a_zip_file_of_photos_sorted_by_class_is_classified(random_runs):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("Jeans", "Shirts"):
            photo = io.BytesIO()
            Image.new("RGB", (60, 80), "teal").save(photo, "PNG")
            archive.writestr(f"mine/{name}/a.png", photo.getvalue())
    page = AppTest.from_file(str(ROOT / PAGE), default_timeout=60).run()
    page.file_uploader("matrix_upload").set_value(("mine.zip", buffer.getvalue(), "application/zip")).run()
    assert page.subheader[0].value.endswith("on 2 photos") and not page.exception and not page.error


def with_map(folder, table) -> None:
    """A run with a map on which each class has a place of its own."""
    places = table["label"].map({name: i for i, name in enumerate(NAMES)})
    embedding = pd.DataFrame({"id": table["id"], "x": 10.0 * places, "y": np.arange(len(table)) % 7})
    test = table.drop(columns=["answer", "confidence"])
    write_run(folder / "mapped", {"predictions.csv": test, "embedding.csv": embedding})


@pytest.fixture
def mapped(open_page, table, tmp_path, monkeypatch):
    with_map(tmp_path / "runs", table)
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    return open_page


def test_a_lasso_of_a_link_lists_the_photos_within_it_mistakes_first(mapped, table):
    page = mapped(matrix_tab="Map", matrix_lasso="-1,-1;1,-1;1,8;-1,8")
    members = table[table["label"] == NAMES[0]]
    assert f"**{len(members)} photos selected, accuracy {right(members) / len(members):.1%}**" in text(page)
    wrong = set(members["id"][members["label"] != members["answer"]].astype(str))
    first = cards(page)[: len(wrong)]
    assert first and all(card.split("id ")[1].split(" ")[0] in wrong for card in first)
    page.button("matrix_clear_lasso").click().run()
    assert "No photos selected." in text(page) and not page.exception


def test_a_selection_is_saved_named_kept_in_the_address_and_compared(mapped, table):
    page = mapped(matrix_tab="Cohorts", matrix_colour="Red")
    page.text_input("matrix_cohort_name").set_value("reds")
    next(button for button in page.button if button.label == "Save as cohort").click().run()
    red = table[table["colour"] == "Red"]
    shown = page.dataframe[0].value
    assert shown["Cohort"].tolist() == ["reds"] and shown["Photos"].tolist() == [len(red)]
    assert shown["Accuracy"][0] == pytest.approx(100 * right(red) / len(red))
    address = page.query_params["matrix_cohorts"]
    page.button_group("matrix_colour").set_value([]).run()
    next(button for button in page.button if button.label == "Save as cohort").click().run()
    assert page.dataframe[0].value["Photos"].tolist() == [len(red), 300]
    assert "difference between reds and Cohort 2 (Fisher's exact test, p = " in text(page)
    again = mapped(matrix_tab="Cohorts", matrix_cohorts=address)
    assert again.dataframe[0].value["Photos"].tolist() == [len(red)] and not again.exception


def test_slices_are_searched_and_the_worst_is_named(open_page, table, tmp_path, monkeypatch):
    spoilt = table.drop(columns=["answer", "confidence"])
    both = (spoilt["colour"] == "Red") & (spoilt["usage"] == "Sports")
    spoilt.loc[both, list(NAMES)] = np.roll(spoilt.loc[both, list(NAMES)].to_numpy(), 1, axis=1)
    write_run(tmp_path / "runs" / "spoilt", {"predictions.csv": spoilt})
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    page = open_page(matrix_tab="Slices")
    assert "**Usage: Sports · Colour: Red**" in text(page) or "**Colour: Red · Usage: Sports**" in text(page)
    assert f"on {both.sum()} photos" in text(page) and not page.exception


def test_phone_photos_have_a_matrix_of_their_own(open_page, table, tmp_path, monkeypatch):
    phone = table.head(40)[["id", *NAMES]].assign(label="pants", allowed="Jeans|Skirts", in_scope_score=5.0)
    label = {"label": "pants", "n": 40, "value": 0.5, "low": 0.3, "high": 0.7}
    measured = {"phone": {"test": {"photos": 40, "exact": {}, "allowed_set": {}, "labels": [label]}}}
    folder = tmp_path / "runs" / "phone"
    write_run(folder, {"predictions.csv": table.drop(columns=["answer", "confidence"]), "predictions_phone.csv": phone})
    (folder / "metrics.json").write_text(json.dumps(measured))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["metrics.json"] = sha256_of(folder / "metrics.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "runs"))
    page = open_page(matrix_tab="Phone and worn")
    hits = phone[list(NAMES)].idxmax(axis=1).isin(["Jeans", "Skirts"]).mean()
    assert f"**Accuracy {hits:.1%} on 40 photos of the classes.**" in text(page) and not page.exception
    assert page.dataframe[0].value["Correct"][0] == pytest.approx(100 * hits)


def test_a_refusal_names_the_missing_columns_in_a_line_or_two(page):
    upload(page, b"id,label\n1,Jeans\n")
    assert len(page.error[0].value) < 160
