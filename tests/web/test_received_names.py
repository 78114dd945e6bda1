"""Names of photos that people send: nothing in them reaches another place than the screen."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_seg.web.received import MAX_NAME, MAX_NAME_BYTES, clean_name, stem_of


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Büro 1.JPG", "Büro 1.JPG"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.jpg", "a.jpg"),
        ("/", "photo"),
        ("", "photo"),
        ("..", "photo"),
        (".htaccess", "htaccess"),
        ("...a.jpg", "a.jpg"),
        (". . a.jpg", "a.jpg"),
        ("\u202egpj.exe", "gpj.exe"),
        ("a\u0000b\r\nc\t.png", "abc.png"),
        ("\u200b.jpg", "jpg"),
        ("<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>.jpg"),
        ("<b>/x</b>.jpg", "b>.jpg"),
        ("a" * 150 + ".jpeg", "a" * 95 + ".jpeg"),
        ("x." + "y" * 150, "x." + "y" * 98),
        ("\U0001f600" * 90 + ".jpg", "\U0001f600" * 49 + ".jpg"),
        ("\udcff.jpg", "jpg"),
        ("   ", "photo"),
    ],
)
def test_names_are_made_harmless(raw, clean):
    assert clean_name(raw) == clean


@given(
    st.text(alphabet=st.one_of(st.characters(exclude_categories=[]), st.sampled_from("./\\ <>\u202e\n")), max_size=300)
)
def test_any_name_becomes_one_that_can_be_shown_and_stays(raw):
    name = clean_name(raw)
    assert 1 <= len(name) <= MAX_NAME
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", name)
    assert not name.startswith((".", " ")) and not name.endswith((".", " "))
    assert clean_name(name) == name
    assert stem_of(name) and "/" not in stem_of(name)
