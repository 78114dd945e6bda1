"""The gallery in a real browser: from disk, offline, with names that want to be code."""

import os
import time
from fractions import Fraction
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image, ImageDraw
from web_pages import painted

from campus_seg.inference.gallery import write_gallery
from campus_seg.inference.summary import write_summary_csv
from campus_seg.videos import Frame, VideoWriter

pytestmark = pytest.mark.pages

CLASSES = ["bench", "car", "<img src=x onerror=alert(1)>"]
COLORS = [(230, 25, 75), (60, 180, 75), (0, 130, 240)]
ODD = [  # output names
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "walk north/Süd 学校 😀",
    "50% #1?a=b&c;d+e",
    "already%20encoded%2Fname",
    "back\\slash and  spaces ",
    "${alert(1)} `x` ]]> \u2028 --!>",
    "e\u0301te",
]
BOTH = "30 of 30 photos"


def record(name, *objects, ending="jpg"):
    """Each object as (class, score)."""
    annotations = [
        {"category_id": c + 1, "instance_id": i, "score": score, "bbox": [10 * i, 20, 30, 40], "area": 960}
        for i, (c, score) in enumerate(objects, start=1)
    ]
    image = {"file_name": f"{name}.{ending}", "width": 320, "height": 240}
    return {"name": name, "image": image, "annotations": annotations}


def draw(folder, records):
    """An overlay each, which tells which one it is by its red."""
    for i, one in enumerate(records):
        path = folder / "overlay" / f"{one['name']}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (320, 240), (8 * i % 256, 90, 90))
        ImageDraw.Draw(picture).rectangle((10, 20, 40, 60), outline=(255, 255, 255))
        picture.save(path)


def write(folder, records, **options):
    write_summary_csv(folder / "summary.csv", records, CLASSES)
    write_gallery(folder, records, CLASSES, COLORS, **options)
    return folder


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """30 photos: 10 with a bench (0.6) and a car (0.9), 12 with two benches (0.7, 0.95), 8 without, of odd names."""
    folder = tmp_path_factory.mktemp("a folder #1 100%")
    records = [record(f"a{i:02d}", (1, 0.9), (0, 0.6)) for i in range(10)]
    records += [record(f"b{i:02d}", (0, 0.95), (0, 0.7)) for i in range(12)]
    records += [record(name) for name in ODD]
    draw(folder, records)
    return write(folder, records)


def status(page):
    return page.locator("#status").inner_text()


def names_shown(page):
    """The whole names, of all cards that exist."""
    return page.locator("#photos .name").evaluate_all("names => names.map((name) => name.title)")


def set_score(page, percent):
    page.locator("#score").fill(str(percent))


def test_it_opens_from_disk_with_all_photos(gallery, open_page):
    page = open_page(gallery)
    assert status(page) == f"{BOTH} · 44 of 44 objects"
    assert page.title() == "Masked photos"
    counts = page.locator("#classes label").evaluate_all("all => all.map((one) => one.innerText.split('\\n'))")
    assert counts == [["bench", "34"], ["car", "10"], [CLASSES[2], "0"], ["no object", "8"]]
    assert page.locator("#score").get_attribute("min") == "60"
    assert page.get_by_role("link", name="summary.csv").get_attribute("href") == "summary.csv"
    page.wait_for_function("[...document.images].every((image) => image.hidden || !image.src || image.complete)")
    widths = page.locator("#photos img").evaluate_all("all => all.map((image) => image.naturalWidth)")
    assert set(widths) == {320}
    first = page.locator("#photos button").first
    assert first.get_attribute("aria-label") == "a00.jpg: 1 car, 1 bench"
    assert first.locator("img").get_attribute("alt") == "1 car, 1 bench"


def test_classes_and_score_change_what_is_shown_and_counted(gallery, open_page):
    page = open_page(gallery)
    page.get_by_role("checkbox", name="bench").uncheck()
    assert status(page) == "18 of 30 photos · 10 of 44 objects"
    page.get_by_role("checkbox", name="no object").uncheck()
    assert status(page) == "10 of 30 photos · 10 of 44 objects"
    assert names_shown(page) == [f"a{i:02d}.jpg" for i in range(10)]
    assert page.locator("#photos button").first.get_attribute("aria-label") == "a00.jpg: 1 car"
    set_score(page, 91)
    assert status(page) == "0 of 30 photos · 0 of 44 objects"
    assert "No photo is like that" in page.locator("#notice").inner_text()
    page.get_by_role("button", name="All", exact=True).click()
    assert status(page) == "20 of 30 photos · 12 of 44 objects"
    assert page.locator("#classes .count").all_inner_texts() == ["12", "0", "0", "8"]
    for percent, objects in ((60, 44), (61, 34), (70, 34), (71, 22), (90, 22), (95, 12), (96, 0)):  # at least
        set_score(page, percent)
        assert status(page).endswith(f"· {objects} of 44 objects")
        assert page.locator("#score-text").inner_text() == f"{percent}%"
    page.get_by_role("button", name="None", exact=True).click()
    assert status(page) == "0 of 30 photos · 0 of 44 objects"


def test_search_by_name(gallery, open_page):
    page = open_page(gallery)
    search = page.get_by_role("searchbox", name="Search by name")
    for text, found in (("B0", 10), ("walk NORTH/", 1), ("%", 2), ("\u00e9TE", 1), ("<script>", 1), ("nowhere", 0)):
        search.fill(text)
        assert status(page).startswith(f"{found} of 30 photos")
    search.fill("")
    assert status(page).startswith(BOTH)


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_shown_and_linked(gallery, open_page, name):
    page = open_page(gallery)
    page.get_by_role("checkbox", name="bench").uncheck()
    page.get_by_role("checkbox", name="car").uncheck()
    assert names_shown(page) == [f"{odd}.jpg" for odd in ODD]
    card = page.locator("#photos li").nth(ODD.index(name))
    assert card.locator(".name").evaluate("it => it.title") == f"{name}.jpg"
    base = "".join(card.locator(part).evaluate("it => it.textContent") for part in (".head", ".tail"))
    assert card.locator(".folder").evaluate("it => it.textContent") + base == f"{name}.jpg"
    card.locator("button").click()
    assert page.locator("#viewer-name").evaluate("it => it.textContent") == f"{name}.jpg"
    page.wait_for_function("document.getElementById('large').complete")
    assert page.locator("#large").evaluate("it => it.naturalWidth") == 320
    link = urlsplit(page.locator("#full").evaluate("it => it.href"))
    assert unquote(link.path) == (gallery / "overlay" / f"{name}.jpg").as_posix()
    assert (link.query, link.fragment) == ("", "")
    assert page.locator("script").count() == 2


def test_the_large_picture_by_mouse(gallery, open_page):
    page = open_page(gallery)
    dialog = page.get_by_role("dialog")
    assert not dialog.is_visible()
    page.get_by_role("button", name="a01.jpg").click()
    assert dialog.get_attribute("aria-labelledby") == "viewer-name"
    assert page.locator("#viewer-name").inner_text() == "a01.jpg"
    assert page.locator("#position").inner_text() == "2 of 30"
    assert page.locator("#large").get_attribute("src") == "overlay/a01.jpg"
    objects = [text.split("\n") for text in page.locator("#objects button").all_inner_texts()]
    assert objects == [
        ["car", "90.0%", "#1 · 960 px · 1.25% of the photo"],
        ["bench", "60.0%", "#2 · 960 px · 1.25% of the photo"],
    ]
    boxes = page.locator("#boxes rect:not(.photo)")
    assert boxes.evaluate_all("all => all.map((one) => one.checkVisibility())") == [False, False]
    page.locator("#objects button").nth(1).hover()
    assert boxes.evaluate_all("all => all.map((one) => one.checkVisibility())") == [False, True]
    assert [boxes.nth(1).get_attribute(key) for key in ("x", "y", "width", "height")] == ["20", "20", "30", "40"]
    page.get_by_role("button", name="Next photo").click()
    assert page.locator("#viewer-name").inner_text() == "a02.jpg"
    for _ in range(2):
        page.get_by_role("button", name="Previous photo").click()
    assert page.locator("#position").inner_text() == "1 of 30"
    assert page.locator("#previous").get_attribute("aria-disabled") == "true"
    page.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_the_large_picture_by_keys(gallery, open_page):
    page = open_page(gallery)
    page.get_by_role("checkbox", name="bench").uncheck()
    page.get_by_role("button", name="a00.jpg").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer-name")
    assert viewer.inner_text() == "a01.jpg"
    assert page.locator("#objects button.out").all_inner_texts()[0].startswith("bench")
    for key, name in (("ArrowRight", "a02"), ("ArrowLeft", "a01"), ("End", ODD[-1]), ("ArrowRight", ODD[-1])):
        page.keyboard.press(key)
        assert viewer.evaluate("it => it.textContent") == f"{name}.jpg"
    # Else what is under way is cancelled, and fails.
    page.wait_for_function("document.getElementById('large').complete")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#position").inner_text() == "3 of 18"
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    page.wait_for_function("document.activeElement.ariaLabel === 'a02.jpg: 1 car'")  # what was looked at last


def test_without_overlays_it_says_so_and_shows_boxes(tmp_path, open_page):
    records = [record(f"a{i}", (1, 0.9), (0, 0.6)) for i in range(3)]
    page = open_page(write(tmp_path, records, overlays=False))
    assert "without overlays" in page.locator("#notice").inner_text()
    assert names_shown(page) == ["a0.jpg", "a1.jpg", "a2.jpg"]
    assert page.locator("#photos .picture").first.is_hidden()
    page.get_by_role("button", name="a1.jpg").click()
    assert page.locator("#large").is_hidden()
    assert page.locator("#full").is_hidden()
    assert page.locator("#boxes rect").evaluate_all("all => all.every((one) => one.checkVisibility())")


def test_no_photos_at_all(tmp_path, open_page):
    page = open_page(write(tmp_path, []))
    assert status(page) == "0 of 0 photos · 0 of 0 objects"
    assert page.locator("#notice").inner_text() == "No photo was masked."


def test_videos_are_linked_and_play(tmp_path, open_page):
    name = "walk/gate #1 50% <b>x"
    (tmp_path / "videos" / "walk").mkdir(parents=True)
    with VideoWriter(tmp_path / "videos" / f"{name}.mp4", Fraction(25), Fraction(1, 25)) as movie:
        for i in range(5):
            movie.add(Frame(i, Fraction(i, 25), np.full((48, 64, 3), 40 * i, np.uint8)))
    page = open_page(write(tmp_path, [record("a", (1, 0.9))], overlays=False, videos=[name]))
    assert page.locator("#videos li").all_inner_texts() == [f"Video: {name}"]
    url = page.get_by_role("link", name=name).evaluate("link => link.href")
    length = """url => new Promise((done) => {
      const video = Object.assign(document.createElement("video"), { src: url });
      video.onloadeddata = () => done([video.duration, video.videoWidth, video.videoHeight]);
      video.onerror = () => done(video.error.message);
    })"""
    assert page.evaluate(length, url) == [0.2, 64, 48]


def test_a_page_without_its_data_says_so(tmp_path, open_page):
    write(tmp_path, [])
    (tmp_path / "gallery.js").unlink()
    page = open_page(tmp_path, check=False)
    assert "gallery.js cannot be read" in page.locator("#notice").inner_text()


def test_an_overlay_that_is_gone_leaves_the_boxes(tmp_path, open_page):
    records = [record("a", (1, 0.9))]
    draw(tmp_path, records)
    write(tmp_path, records)
    (tmp_path / "overlay" / "a.jpg").unlink()
    page = open_page(tmp_path, check=False)
    page.get_by_role("button", name="a.jpg").click()
    page.wait_for_selector("#boxes.blank")
    assert page.locator("#large").is_hidden()


@pytest.mark.parametrize("width", [320, 390, 768, 1200, 2560])
def test_nothing_is_wider_than_the_screen(gallery, open_page, width):
    page = open_page(gallery)
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function("width => innerWidth === width", arg=width)
    painted(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    columns = page.locator("#photos li").evaluate_all("all => new Set(all.map((one) => one.style.left)).size")
    assert columns == {320: 2, 390: 2, 768: 3, 1200: 4, 2560: 10}[width]
    page.get_by_role("button", name="a00.jpg").click()
    assert page.locator("#close").evaluate("it => it.getBoundingClientRect().right") <= width


def test_a_phone_has_its_filters_folded_up(gallery, open_page):
    page = open_page(gallery, is_mobile=False, has_touch=True)
    assert page.locator("#score").is_visible()
    page.set_viewport_size({"width": 390, "height": 780})
    page.wait_for_function("innerWidth === 390")
    page.reload()
    assert page.locator("#score").is_hidden()
    page.get_by_text("Filters").tap()
    page.get_by_role("checkbox", name="bench").uncheck()
    assert status(page).startswith("18 of 30")


def test_the_colours_follow_the_system(gallery, open_page):
    def shade(scheme):
        page = open_page(gallery, color_scheme=scheme)
        return page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")

    assert max(shade("dark")) < 60 < 200 < min(shade("light"))


SCROLL = """async () => {
  const frames = [], nodes = [], cards = [];
  let before = performance.now();
  const frame = () => new Promise((resolve) => requestAnimationFrame((now) => resolve(now)));
  while (scrollY + innerHeight < document.documentElement.scrollHeight - 1) {
    scrollBy(0, 240);
    const now = await frame();
    frames.push(now - before);
    before = now;
    nodes.push(document.querySelectorAll("*").length);
    cards.push(document.querySelectorAll("#photos li").length);
  }
  frames.sort((a, b) => a - b);
  return {frames: frames.length, median: frames[frames.length >> 1], p95: frames[Math.floor(frames.length * .95)],
          longest: frames.at(-1), nodes: Math.max(...nodes), cards: Math.max(...cards)};
}"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def test_2000_photos_scroll_smoothly(tmp_path, open_page):
    records = [record(f"walk/{i:04d}", *[(i % 3, 0.5 + i % 50 / 100)] * (i % 8)) for i in range(2000)]
    draw(tmp_path, records[:100])
    for one in records[100:]:  # the same hundred again, under names of their own
        os.link(
            tmp_path / f"overlay/walk/{int(one['name'][-4:]) % 100:04d}.jpg", tmp_path / f"overlay/{one['name']}.jpg"
        )
    began = time.perf_counter()
    write(tmp_path, records)
    written = time.perf_counter() - began
    page = open_page(tmp_path)
    assert status(page).startswith("2,000 of 2,000 photos")
    page.wait_for_function(f"{PAINT} > 0")
    painted = page.evaluate(PAINT)
    filtered = page.evaluate("(() => { const t = performance.now(); filter(); return performance.now() - t; })()")
    measured = page.evaluate(SCROLL)
    print(f"\nwritten in {written:.1f} s, first paint {painted:.0f} ms, filter {filtered:.1f} ms, scroll {measured}")
    assert measured["frames"] > 200
    assert measured["cards"] < 60
    assert measured["nodes"] < 1500
    assert names_shown(page)[-1] == "walk/1999.jpg"
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('#photos .name').title === 'walk/0000.jpg'")
    page.locator("#photos button").first.focus()
    for _ in range(30):  # by keys alone, further than what exists at first
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("walk/0120.jpg")
    assert page.evaluate("document.activeElement.getBoundingClientRect().bottom <= innerHeight")
    page.mouse.wheel(0, 60000)  # what has the focus keeps it, out of sight as well
    page.wait_for_function("document.querySelectorAll('#photos li').length > 5 && scrollY > 10000")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("walk/0120.jpg")
