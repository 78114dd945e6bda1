"""The report in a real browser: from disk, offline, narrow and wide, with names that want to be code."""

import pytest
from judged_runs import ODD_CLASSES, ODD_PHOTO, odd_export, write_folder, write_judged_run

from campus_seg.evaluation.report import write_comparison, write_report
from campus_seg.evaluation.run_comparison import compare_runs
from campus_seg.evaluation.run_files import RunFiles

pytestmark = pytest.mark.pages

WIDTHS = (1400, 390)
OVERFLOWING = """() => {
  const wide = [...document.querySelectorAll('body *')].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width > 0 && box.right > innerWidth + 0.5 && !node.closest('.scroll, pre');
  });
  return [document.documentElement.scrollWidth - innerWidth, wide.map((node) => node.outerHTML.slice(0, 120))];
}"""
PICTURES = """async () => {
  const pictures = [...document.images];
  await Promise.all(pictures.map((picture) => picture.decode()));
  return pictures.map((picture) => [picture.naturalWidth, picture.alt, picture.src.slice(0, 5)]);
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on the same photos; the second is the better one."""
    folder = tmp_path_factory.mktemp("runs of #1 100%")
    export = write_folder(odd_export(30), folder / "export")
    cfgs = [write_judged_run(folder / name, export, share=share) for name, share in (("a <i>", 0.3), ("b", 0.95))]
    for cfg in cfgs:
        write_report(cfg)
    return [RunFiles(folder / name) for name in ("a <i>", "b")]


def opened(open_page, folder, width, name="index.html"):
    """A page at a width, with all that can be folded open."""
    page = open_page(folder, name=name, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    return page


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_and_nothing_overflows(runs, open_page, width):
    page = opened(open_page, runs[1].folder / "report", width)
    pictures = page.evaluate(PICTURES)
    assert len(pictures) > 30
    assert all(size > 0 and alt and kind == "data:" for size, alt, kind in pictures)
    assert page.evaluate(OVERFLOWING) == [0, []]


def test_names_are_text(runs, open_page):
    page = opened(open_page, runs[1].folder / "report", 1400)
    shown = page.locator("body").inner_text()
    assert ODD_PHOTO in shown and all(name in shown for name in ODD_CLASSES.values())
    assert page.locator("img[onerror], script").count() == 0
    assert page.title() == "b: report"


def test_the_head_says_what_a_supervisor_asks(runs, open_page):
    page = opened(open_page, runs[1].folder / "report", 1400)
    tiles = [text.split("\n") for text in page.locator(".tile").all_inner_texts()]
    assert [tile[0] for tile in tiles] == [
        *("Mask AP", "Against the run before", "Objects found", "Photos", "Classes", "Suspected label errors")
    ]
    told = {tile[0]: tile[1:] for tile in tiles}
    ap = runs[1].analysis("test")["figures"]["segm"]["AP"]
    assert told["Mask AP"][0] == f"{ap:.1f}"
    assert told["Photos"] == ["30", "15 train · 6 val · 9 test"]
    assert told["Classes"][0] == "3"
    assert told["Against the run before"][1].startswith("better than a <i>, on 9 shared photos")
    assert page.locator(".weak li").count() == 3
    # All of it, and the weakest classes, before one scrolls.
    assert page.locator(".weak").evaluate("node => node.getBoundingClientRect().bottom") < 900
    page.get_by_role("link", name="Label errors").click()
    assert page.evaluate("document.querySelector('#suspects').getBoundingClientRect().top") < 200


def test_headings_and_tables_are_there_for_those_who_do_not_see_them(runs, open_page):
    page = opened(open_page, runs[1].folder / "report", 1400)
    assert page.locator("h1").count() == 1
    assert page.locator("table").count() >= 3
    assert page.locator("table th:not([scope])").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    regions = page.locator("[role=region]")
    assert all(regions.nth(i).get_attribute("aria-label") for i in range(regions.count()))


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_side_by_side(runs, open_page, width, tmp_path):
    write_comparison(compare_runs(runs), tmp_path / "comparison.html")
    page = opened(open_page, tmp_path, width, "comparison.html")
    assert page.evaluate(OVERFLOWING) == [0, []]
    assert all(size > 0 and alt for size, alt, _ in page.evaluate(PICTURES))
    assert "Better than a <i> by" in page.locator(".weak").inner_text()
    assert page.locator("tbody th").all_inner_texts()[0] == "all"
    assert set(page.locator("tbody th").all_inner_texts()[1:]) == set(ODD_CLASSES.values())
