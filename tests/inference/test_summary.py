import csv
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_seg.inference.summary import HEADER, Counts, harmless_path, harmless_text, write_summary_csv

CLASSES = ["bench", "car", "person"]


def photo(file_name, *objects, size=(40, 25)):
    """A record: each object as (category_id, score, bbox, area)."""
    annotations = [
        {"category_id": c, "instance_id": i, "score": score, "bbox": bbox, "area": area, "segmentation": {}}
        for i, (c, score, bbox, area) in enumerate(objects, start=1)
    ]
    image = {"file_name": file_name, "width": size[0], "height": size[1]}
    return {"name": file_name.rpartition(".")[0], "image": image, "annotations": annotations}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_row_an_object(tmp_path):
    records = [
        photo("a.jpg", (3, 0.99, [1, 2, 10, 20], 125), (1, 0.5, [0, 0, 4, 1], 4)),
        photo("walk/none.jpg"),
        {"file_name": "broken.jpg", "reason": "the file is empty"},
        photo("walk/Süd, 学.jpg", (3, 0.123457, [0, 0, 3, 3], 7), size=(4032, 3024)),
    ]
    counts = write_summary_csv(tmp_path / "summary.csv", iter(records), CLASSES)
    assert rows(tmp_path / "summary.csv") == [
        list(HEADER),
        ["a.jpg", "person", "1", "0.99", "1", "2", "10", "20", "125", "0.125"],
        ["a.jpg", "bench", "2", "0.5", "0", "0", "4", "1", "4", "0.004"],
        ["walk/Süd, 学.jpg", "person", "1", "0.123457", "0", "0", "3", "3", "7", "5.74111e-07"],
    ]
    assert counts == Counts(photos=3, with_objects=2, objects={"person": 2, "bench": 1}, failures=1)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.csv"]


def test_a_folder_without_photos_has_the_header_alone(tmp_path):
    counts = write_summary_csv(tmp_path / "summary.csv", [], CLASSES)
    assert rows(tmp_path / "summary.csv") == [list(HEADER)]
    assert counts == Counts(0, 0, {}, 0)
    assert counts.lines(1.0) == [("photos masked", "0"), ("with objects", "0"), ("objects found", "0")]


def test_an_earlier_table_stays_where_writing_fails(tmp_path):
    write_summary_csv(tmp_path / "summary.csv", [photo("a.jpg", (1, 0.5, [0, 0, 1, 1], 1))], CLASSES)

    def stopped():
        yield photo("b.jpg")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_summary_csv(tmp_path / "summary.csv", stopped(), CLASSES)
    assert len(rows(tmp_path / "summary.csv")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["summary.csv"]


def test_the_closing_lines():
    counts = Counts(photos=72, with_objects=69, objects={"person": 103, "car": 7}, failures=2)
    assert counts.lines(20.0) == [
        ("photos masked", "72"),
        ("with objects", "69"),
        ("objects found", "110"),
        ("", "103 person"),
        ("", "  7 car"),
        ("photos/s", "3.6"),
    ]
    assert counts.lines(8.0, earlier=68)[-1] == ("photos/s", "0.5")
    assert counts.lines(8.0, earlier=72) == counts.lines(20.0)[:-1]


@pytest.mark.parametrize(
    ("text", "as_path", "as_text"),
    [
        ("=1+1.jpg", "./=1+1.jpg", "'=1+1.jpg"),
        ("+49.jpg", "./+49.jpg", "'+49.jpg"),
        ("-a.jpg", "./-a.jpg", "'-a.jpg"),
        ("@SUM(A1).jpg", "./@SUM(A1).jpg", "'@SUM(A1).jpg"),
        ("\t=1.jpg", "./\t=1.jpg", "'\t=1.jpg"),
        ("＝1.jpg", "./＝1.jpg", "'＝1.jpg"),
        ("a=1.jpg", "a=1.jpg", "a=1.jpg"),
        ("'=1.jpg", "'=1.jpg", "'=1.jpg"),
        (" a.jpg", " a.jpg", " a.jpg"),
        ("", "", ""),
    ],
)
def test_names_become_no_formulas(text, as_path, as_text):
    assert harmless_path(text) == as_path
    assert harmless_text(text) == as_text


def test_no_cell_is_a_formula_whatever_separates_cells(tmp_path):
    record = photo('=HYPERLINK("x");=2.jpg', (1, 0.5, [0, 0, 1, 1], 1))
    write_summary_csv(tmp_path / "summary.csv", [record], ["=cmd|' /C calc'!A0"])
    line = (tmp_path / "summary.csv").read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith('"./=HYPERLINK(""x"");=2.jpg","\'=cmd|')
    for separator in ",;\t":
        (cells,) = csv.reader([line], delimiter=separator)
        assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t")]


names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=12)
found = st.tuples(
    st.integers(1, 3),
    st.floats(0, 1).map(lambda score: round(score, 6)),
    st.lists(st.integers(0, 5000), min_size=4, max_size=4),
    st.integers(1, 10**7),
)
folders = st.lists(st.tuples(names, st.lists(found, max_size=4)), max_size=5)


@given(folders, st.tuples(st.integers(1, 9000), st.integers(1, 9000)))
def test_what_is_read_back_is_what_was_found(tmp_path_factory, folder, size):
    path = tmp_path_factory.mktemp("table") / "summary.csv"
    counts = write_summary_csv(path, (photo(name, *objects, size=size) for name, objects in folder), CLASSES)
    header, *table = rows(path)
    wanted = [(name, i, *one) for name, objects in folder for i, one in enumerate(objects, start=1)]
    assert len(table) == len(wanted) == sum(counts.objects.values())
    for row, (name, i, category, score, bbox, area) in zip(table, wanted, strict=True):
        cells = dict(zip(header, row, strict=True))
        assert cells["photo"] == ("./" + name if re.match(r"[=+@\t\r\n＝＋－＠-]", name) else name)
        assert cells["class"] == CLASSES[category - 1]
        assert [int(cells[key]) for key in ("instance_id", "x", "y", "width", "height", "area")] == [i, *bbox, area]
        assert float(cells["score"]) == score
        assert float(cells["share"]) == pytest.approx(area / size[0] / size[1], rel=1e-5)
    assert counts.photos == len(folder)
    assert counts.with_objects == sum(bool(objects) for _, objects in folder)
    for i, class_name in enumerate(CLASSES, start=1):
        of_class = sum(one[0] == i for _, objects in folder for one in objects)
        assert counts.objects.get(class_name, 0) == of_class
    assert list(counts.objects.values()) == sorted(counts.objects.values(), reverse=True)
