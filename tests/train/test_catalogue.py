"""Reading data sets: a table's flaws are reported by line, and a zip reads as its folder does."""

import csv
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.artifacts.labels import LabelSet
from core.errors import InvalidData
from tests.train_cases import GARMENT, small_rows, write_catalogue, write_phone_photos, write_street_photos
from train import worn
from train.catalogue import COLUMNS, HASHED_IDS_FROM, Source, read_labels, read_styles, read_values
from train.targets import ClassList

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
ROW = "15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Navy Blue Shirt"


def read(*lines: str, encoding: str = "utf-8", newline: str = "\n"):
    return read_styles(newline.join([HEADER, *lines, ""]).encode(encoding), "styles.csv")


def test_the_columns_that_training_needs_are_kept():
    table, problems = read(ROW)
    assert tuple(table.columns) == COLUMNS
    assert table.iloc[0].tolist() == [15970, "Shirts", "Navy Blue", "Casual", "Turtle Check Men Navy Blue Shirt"]
    assert problems == []


def test_stray_commas_belong_to_the_product_name():
    table, problems = read(ROW + ", Slim, Size 40")
    assert table["productDisplayName"].tolist() == ["Turtle Check Men Navy Blue Shirt, Slim, Size 40"]
    assert problems == []


def test_quoted_fields_keep_their_commas_and_quotes():
    table, _ = read(ROW.rpartition(",")[0] + ',"Nike 3.5"" Short, pink"')
    assert table["productDisplayName"].tolist() == ['Nike 3.5" Short, pink']


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends_make_no_difference(encoding, newline):
    table, problems = read(ROW, ROW.replace("15970", "15971"), encoding=encoding, newline=newline)
    assert table["id"].tolist() == [15970, 15971]
    assert problems == []


@given(
    st.dictionaries(
        st.integers(0, 10**18 - 1),
        st.tuples(*[st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1)] * 4),
    )
)
def test_whatever_a_csv_writer_writes_is_read_back(products):
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows([photo_id, "x" + details[0], *details[1:]] for photo_id, details in products.items())
    table, problems = read_styles(file.getvalue().encode(), "styles.csv")
    assert problems == []
    assert [*table.itertuples(index=False, name=None)] == [
        (i, "x" + first, *rest) for i, (first, *rest) in products.items()
    ]


def test_empty_lines_and_missing_cells_are_no_problem():
    table, problems = read("", ROW.replace("Navy Blue,", ","), "")
    assert table["baseColour"].tolist() == [""]
    assert problems == []


def test_wrong_rows_are_left_out_and_told_by_line():
    table, problems = read(
        ROW, "1,Men", ROW.replace("15970", "abc"), ROW, ROW.replace("15970", "9" * 19), ROW.replace("15970", "2")
    )
    assert table["id"].tolist() == [15970, 2]
    assert problems == [
        "styles.csv line 3: 2 columns where 10 are needed",
        "styles.csv line 4: the id 'abc' is not a whole number of at most 18 digits",
        "styles.csv line 5: the id 15970 is in line 2 already",
        f"styles.csv line 6: the id '{'9' * 19}' is not a whole number of at most 18 digits",
    ]


def test_a_misspelt_class_is_told_by_line_and_other_products_are_none():
    classes = ("Shirts", "Tshirts", "Track Pants")
    types = ("Shirts", "T-shirt", "track_pants", "Jeggings", "", "Sweatshirts")
    lines = [ROW.replace("Shirts", name).replace("15970", str(i)) for i, name in enumerate(types, 1)]
    table, problems = read_styles("\n".join([HEADER, *lines]).encode(), "styles.csv", classes)
    assert table["articleType"].tolist() == ["Shirts", "Jeggings", "Sweatshirts"]
    assert problems == [
        "styles.csv line 3: the articleType 'T-shirt' is unknown; write 'Tshirts'",
        "styles.csv line 4: the articleType 'track_pants' is unknown; write 'Track Pants'",
        "styles.csv line 6: it has no articleType",
    ]


def test_an_unclosed_quotation_mark_costs_its_own_line_alone():
    table, problems = read(
        ROW,
        ROW.replace("15970", "2").replace("Turtle", '"Turtle'),
        ROW.replace("15970", "3"),
        ROW.replace("15970", "4"),
    )
    assert table["id"].tolist() == [15970, 3, 4]
    assert problems == ["styles.csv line 3: a quotation mark is not closed; close it or drop it"]


def test_more_columns_are_a_problem_where_the_last_is_no_free_text():
    data = "id,productDisplayName,articleType,baseColour,usage\n1,Shirt,Shirts,Blue,Casual,more\n"
    table, problems = read_styles(data.encode(), "styles.csv")
    assert len(table) == 0
    assert problems[0].startswith("styles.csv line 2: 6 columns where 5 are expected")


def test_a_line_in_another_encoding_is_left_out_by_its_number():
    table, problems = read(ROW, ROW.replace("Turtle", "Türtle"), ROW.replace("15970", "3"), encoding="latin-1")
    assert table["id"].tolist() == [15970, 3]
    assert problems == ["styles.csv line 3: it is not UTF-8"]


def test_a_line_that_is_no_csv_is_left_out_by_its_number():
    table, problems = read(ROW, ROW.replace("Turtle", "x" * 200_000), ROW.replace("15970", "3"))
    assert table["id"].tolist() == [15970, 3]
    assert problems[0].startswith("styles.csv line 3: it is not a row of a CSV table (field larger than field limit")


def test_a_file_whose_first_line_is_not_utf_8_is_refused():
    with pytest.raises(
        InvalidData, match=r"styles\.csv line 1: it is not UTF-8. Save the file as a CSV table in UTF-8"
    ):
        read_styles(f"{HEADER}\n{ROW}\n".encode("utf-16"), "styles.csv")


def test_spaces_around_the_names_of_columns_make_no_difference():
    table, problems = read_styles(f"{HEADER.replace(',', ' , ')}\n{ROW}\n".encode(), "styles.csv")
    assert (table["id"].tolist(), problems) == ([15970], [])


@pytest.mark.parametrize("data", [b"", b"id;articleType\n1;Shirts\n"])
def test_missing_columns_are_named_with_what_was_found(data):
    with pytest.raises(InvalidData, match=r"lacks the column\(s\) .*articleType.*its first line is "):
        read_styles(data, "styles.csv")


def zipped(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, prefix + str(file.relative_to(folder)))
    return path


@pytest.mark.parametrize("prefix", ["", "fashion-product-images-small/"])
def test_a_zip_reads_as_its_folder_does(tmp_path, prefix):
    folder = write_catalogue(tmp_path / "folder", small_rows(per_class=1, others=0))
    archive = Source(zipped(folder, tmp_path / "data.zip", prefix))
    assert archive.read("styles.csv") == Source(folder).read("styles.csv")
    assert archive.read("images/1000.jpg") == Source(folder).read("images/1000.jpg")


def test_of_the_two_copies_in_the_kaggle_zip_the_outer_one_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("myntradataset/styles.csv", "inner")
        archive.writestr("styles.csv", "outer")
    assert Source(tmp_path / "data.zip").read("styles.csv") == b"outer"


def test_the_table_alone_is_no_data_set_and_its_folder_is_named(tmp_path):
    folder = write_catalogue(tmp_path / "folder", [(1, "Jeans")])
    with pytest.raises(InvalidData, match=rf"styles\.csv is the table of a data set\. Give the folder .*, {folder}\."):
        Source(folder / "styles.csv")


@pytest.mark.parametrize("zip_it", [False, True])
def test_a_photo_is_found_whatever_the_case_of_its_name(tmp_path, zip_it):
    folder = write_catalogue(tmp_path / "folder", [(50013, "Jeans")])
    data = (folder / "images" / "50013.jpg").read_bytes()
    (folder / "images" / "50013.jpg").rename(folder / "images" / "50013.JPG")
    source = Source(zipped(folder, tmp_path / "data.zip") if zip_it else folder)
    assert source.read("images/50013.jpg") == data


def test_the_fingerprint_follows_the_content(tmp_path):
    folder = write_catalogue(tmp_path / "folder", small_rows(per_class=1, others=0))
    before = Source(folder).fingerprint()
    assert Source(folder).fingerprint() == before
    (folder / "images" / "1000.jpg").unlink()
    assert Source(folder).fingerprint() != before


def test_what_is_no_data_set_is_told(tmp_path):
    with pytest.raises(InvalidData, match=r"no data set at .*nowhere.*Give the Kaggle zip or its extracted folder"):
        Source(tmp_path / "nowhere")
    with pytest.raises(InvalidData, match=r"has no styles\.csv"):
        Source(tmp_path)
    with pytest.raises(InvalidData, match=r"no styles\.csv, but another zip: inner/archive\.zip\. Extract outer\.zip"):
        with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
            archive.writestr("inner/archive.zip", b"")
        Source(tmp_path / "outer.zip")
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 half a download")
    with pytest.raises(InvalidData, match=r"half\.zip is not a readable zip file .*Download it again"):
        Source(tmp_path / "half.zip")


COARSE = ClassList(
    LabelSet({"Tops": ("Tshirts",), "Bottoms": ("Jeans", "Trousers")}),
    coarse={"t-shirt": ("Tshirts",), "pants": ("Jeans", "Trousers")},
    other={},
    untaught=frozenset({"not sure"}),
)
GARMENTS = ClassList.load("garments15")


def test_phone_photos_get_ids_from_their_names_whatever_their_order():
    one, problems = read_labels(b"file,label\nb.jpg,pants\na.jpg,t-shirt\n", "labels.csv", COARSE)
    other, _ = read_labels(b"label,file\nt-shirt,a.jpg\npants,b.jpg\n", "labels.csv", COARSE)
    assert problems == []
    assert one.equals(other)
    assert one[["file", "articleType", "kind", "key"]].values.tolist() == [
        ["a.jpg", "t-shirt", "phone", ""],
        ["b.jpg", "pants", "phone", ""],
    ]
    assert (one["id"] >= HASHED_IDS_FROM).all()
    assert set(COLUMNS) < set(one.columns)


def test_photos_of_one_sender_share_a_key_and_photos_of_unknown_senders_have_none():
    rows = b"file,sender,label\na.jpg,7,pants\nb.jpg,,pants\nc.jpg,7,t-shirt\n"
    table, _ = read_labels(rows, "labels.csv", COARSE)
    assert table["key"].tolist() == ["sender 7", "", "sender 7"]


def test_labels_that_are_never_taught_are_passed_over_without_a_problem():
    table, problems = read_labels(b"file,label\na.jpg,not sure\nb.jpg,pants\n", "labels.csv", COARSE)
    assert (table["file"].tolist(), problems) == (["b.jpg"], [])


def test_rows_of_a_label_table_that_cannot_be_used_are_told_by_line():
    rows = b"file,label\na.jpg,hat\n../a.jpg,pants\n,pants\nb.jpg,pants\nb.jpg,pants\nc.jpg\n"
    table, problems = read_labels(rows, "labels.csv", COARSE)
    assert table["file"].tolist() == ["b.jpg"]
    assert problems == [
        "labels.csv line 2: the label 'hat' is none of t-shirt, pants",
        "labels.csv line 3: the file '../a.jpg' is not the name of a file in images/",
        "labels.csv line 4: the file '' is not the name of a file in images/",
        "labels.csv line 6: the file b.jpg is listed twice",
        "labels.csv line 7: the label '' is none of t-shirt, pants",
    ]


def test_a_label_table_without_its_columns_is_refused():
    with pytest.raises(InvalidData, match=r"labels\.csv lacks the column\(s\) label"):
        read_labels(b"file,name\na.jpg,x\n", "labels.csv", COARSE)


def views_of(folder):
    rows, problems = Source(folder).photos(GARMENTS)
    return rows.set_index(["file", "articleType", "view"]).sort_index(), problems


def test_every_garment_of_a_street_photo_is_shown_by_its_box_by_jittered_boxes_and_cut_out(tmp_path):
    rows, problems = views_of(write_street_photos(tmp_path / "street", [("jeans",)]))
    shown = rows.loc[("0000.jpg", "worn jeans")]
    assert problems == []
    assert sorted(shown.index) == sorted([worn.EXACT, *worn.JITTERED, worn.CUT_OUT])
    for view in (worn.EXACT, worn.CUT_OUT):
        assert tuple(shown.loc[view, ["left", "top", "right", "bottom"]]) == GARMENT
    assert len({tuple(box) for box in shown[["left", "top", "right", "bottom"]].to_numpy()}) == 5
    assert shown["id"].nunique() == 1 and shown["id"].iloc[0] >= HASHED_IDS_FROM


def test_what_is_no_class_is_shown_by_its_box_and_one_jittered_box_and_so_is_the_background(tmp_path):
    rows, _ = views_of(write_street_photos(tmp_path / "street", [("bag",)]))
    for label in ("worn bag", "worn background"):
        assert sorted(rows.loc[("0000.jpg", label)].index) == [worn.EXACT, worn.JITTERED[0]]


def test_labels_of_a_mask_that_the_class_list_does_not_know_are_passed_over(tmp_path):
    rows, problems = views_of(write_street_photos(tmp_path / "street", [("skin",)]))
    assert set(rows.index.get_level_values("articleType")) == {"worn background"}
    assert problems == []


def test_street_photos_with_neighbouring_numbers_share_a_key(tmp_path):
    rows, _ = views_of(write_street_photos(tmp_path / "street", [("jeans",)] * 21))
    keys = rows.reset_index().groupby("file")["key"].first()
    assert keys["0000.jpg"] == keys["0019.jpg"] != keys["0020.jpg"]


def test_a_street_set_reads_the_same_from_a_zip_and_every_time(tmp_path):
    folder = write_street_photos(tmp_path / "street", [("jeans",), ("coat",)])
    rows, _ = Source(folder).photos(GARMENTS)
    archive = Source(zipped(folder, tmp_path / "street.zip"))
    assert archive.photos(GARMENTS)[0].equals(rows)
    assert Source(folder).photos(GARMENTS)[0].equals(rows)


def test_a_damaged_mask_is_reported_and_its_photo_left_out(tmp_path):
    folder = write_street_photos(tmp_path / "street", [("jeans",), ("coat",)])
    (folder / "masks" / "0000.png").write_bytes(b"no mask")
    rows, problems = views_of(folder)
    assert set(rows.index.get_level_values("file")) == {"0001.jpg"}
    assert len(problems) == 1 and problems[0].startswith("street: masks/0000.png: does not decode")


def test_a_table_of_mask_values_names_the_line_that_is_none():
    assert read_values(b"value,label\n0,background\n24, jacket\n", "labels.csv") == {0: "background", 24: "jacket"}
    with pytest.raises(InvalidData, match=r"labels\.csv line 3: a row is `value,label`, such as `24,jacket`"):
        read_values(b"value,label\n1,jeans\nx,jacket\n", "labels.csv")


def test_the_kind_of_a_data_set_follows_from_its_table(tmp_path):
    catalogue = write_catalogue(tmp_path / "catalogue", [(1, "Jeans")])
    phone = write_phone_photos(tmp_path / "phone", ["pants"])
    street = write_street_photos(tmp_path / "street", [("jeans",)])
    kinds = [set(Source(path).photos(GARMENTS)[0]["kind"]) for path in (catalogue, phone, street)]
    assert kinds == [{"product"}, {"phone"}, {"worn"}]
