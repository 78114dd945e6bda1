"""The page to try the model in a real browser, with the real server: photos in, objects and files out."""

import io
import json
import zipfile
from urllib.parse import parse_qs, urlsplit

import pytest
from judged_runs import ODD_CLASSES
from PIL import Image
from web_pages import Masked, classes, errors, file, give, picture, rows, set_percent, settled, shown, summary
from web_servers import visualized

pytestmark = pytest.mark.pages

HTML_NAME = "<img src=x onerror=alert(1)> Süd & 50%.jpg"
LEAST = 0.05
DOWNLOADS = {"Overlay": "jpg", "Binary mask": "png", "RGB mask": "png", "Instance mask": "png"}
FOLDERS = {"Overlay": "overlay", "Binary mask": "binary", "RGB mask": "rgb", "Instance mask": "instances"}


@pytest.fixture(scope="module")
def masked(run, tmp_path_factory):
    """Everything that is found in gate.jpg, which lies on its side."""
    folder = tmp_path_factory.mktemp("masked")
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "photos").mkdir()
    (folder / "photos" / "gate.jpg").write_bytes(picture(exif=exif))
    arguments = ("--confidence-threshold", LEAST, "--save", "binary")
    return Masked(visualized(run, folder / "photos", folder / "masks", *arguments))


@pytest.fixture(scope="module")
def gate(masked):
    return (masked.folder.parent / "photos" / "gate.jpg").read_bytes()


def test_at_first_it_says_what_it_takes(server, open_site):
    page = open_site(server)
    assert page.locator("h1").count() == 1 and page.locator("html").get_attribute("lang") == "en"
    text = page.locator("body").inner_text()
    assert "1 MB" in text and "3 megapixels" in text
    assert "in this server's memory for at most 30 minutes, never on its disk" in text
    assert all(name in text for name in ODD_CLASSES.values())
    assert classes(page).evaluate_all("all => all.every((box) => box.checked)")
    assert page.locator("#least input[type=range]").input_value() == "50"
    assert page.locator("#strip li, #saves a:visible, #objects table").count() == 0
    page.wait_for_function("[...document.querySelectorAll('#examples img')].every((one) => one.naturalWidth)")
    assert page.locator("[data-example]").all_inner_texts() == [f"Example {k}" for k in range(1, 7)]
    assert "gradio" not in text.lower()


def test_a_photo_its_objects_and_its_picture(server, open_site, masked, gate):
    page = open_site(server)
    give(page, file("gate.jpg", gate))
    shown(page, "gate.jpg")
    everything = range(len(masked.names))
    wanted = masked.wanted(0.5, everything)
    assert 0 < len(wanted) < len(masked.objects)  # else the threshold would not be seen
    more = len(masked.objects) - len(wanted)
    assert summary(page) == f"{masked.told(0.5, everything)}. {more} more are left out by the score or the classes."
    assert page.locator("#view").get_attribute("alt") == f"gate.jpg: {masked.told(0.5, everything)}"
    assert page.locator("#view").evaluate("view => [view.naturalWidth, view.naturalHeight]") == [120, 160]  # upright
    pixels = 120 * 160
    for (class_id, score, area), row in zip(wanted, rows(page), strict=True):
        assert row[1] == masked.names[class_id]
        assert float(row[2].rstrip("%")) == pytest.approx(100 * score, abs=0.1)
        assert row[3] == f"{area:,} px"
        assert float(row[4].rstrip("%")) == pytest.approx(100 * area / pixels, abs=0.01)
    assert page.locator("#objects caption").inner_text() == "Objects in gate.jpg"
    colors = page.locator("#objects .swatch").evaluate_all("all => all.map((one) => one.style.background)")
    assert len({(name, color) for (_, name, *_), color in zip(rows(page), colors, strict=True)}) == len(set(colors))


def test_threshold_and_classes_do_not_send_the_photo_again(server, open_site, masked, gate):
    page = open_site(server)
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url)))
    give(page, file("gate.jpg", gate))
    shown(page, "gate.jpg")
    everything = set(range(len(masked.names)))
    for percent, class_ids in ((5, everything), (70, everything), (70, everything - {1}), (30, everything - {1, 2})):
        set_percent(page, percent)
        for class_id in everything:
            classes(page).nth(class_id).set_checked(class_id in class_ids)
        settled(page, percent, class_ids)
        told = masked.told(percent / 100, class_ids)
        assert (
            page.locator("#view").get_attribute("alt") == f"gate.jpg: {told.lower() if told == 'No object' else told}"
        )
        assert summary(page).startswith(f"{told}.")
        assert len(rows(page)) == len(masked.wanted(percent / 100, class_ids))
        view = parse_qs([url for url in asked if url.path.endswith("/view")][-1].query)
        assert view == {"threshold": [f"{percent / 100:g}"], "classes": [",".join(map(str, sorted(class_ids)))]}
    page.get_by_role("button", name="No class").click()
    settled(page, 30, ())
    assert summary(page) == "No object. No class is chosen."
    page.get_by_role("button", name="All classes").click()
    settled(page, 30, everything)
    assert summary(page).startswith(f"{masked.told(0.3, everything)}.")
    assert [url.path for url in asked].count("/photos") == 1


def test_a_score_that_is_typed(server, open_site, masked, gate):
    page = open_site(server)
    give(page, file("gate.jpg", gate))
    shown(page, "gate.jpg")
    everything = range(len(masked.names))
    number = page.locator("#least input[type=number]")
    for typed, percent in (("72", 72), ("3", 5), ("", 50), ("300", 100), ("40", 40)):
        number.fill(typed)
        settled(page, percent, everything)
        assert summary(page).startswith(masked.told(percent / 100, everything))


def test_a_score_between_two_steps_is_answered_once(server, open_site):
    page = open_site(server)
    give(page, file("a.png", picture()))
    shown(page, "a.png")
    page.locator("#least input[type=number]").fill("72.5")
    settled(page, 72.5, range(3))
    asked = "document.querySelector('#summary .photo').dataset.asked"
    before = page.evaluate(asked)
    page.wait_for_timeout(5500)  # by then a page that takes it for unanswered asks again
    assert page.evaluate(asked) == before


def test_every_download_is_what_visualize_writes(server, open_site, run, masked, gate, tmp_path):
    page = open_site(server)
    give(page, file("gate.jpg", gate))
    set_percent(page, 57)
    classes(page).nth(1).uncheck()
    kept = [name for number, name in enumerate(masked.names) if number != 1]
    photos = masked.folder.parent / "photos"
    out = visualized(run, photos, tmp_path / "out", "--confidence-threshold", "0.57", "--classes", *kept)
    settled(page, 57, {*range(len(masked.names))} - {1})
    assert summary(page).startswith(Masked(out).told(0, range(9)))

    def saved(name):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert page.locator("#said").inner_text().startswith(f"{name} is downloaded as gate.")
        assert download.value.suggested_filename.startswith("gate.")
        return download.value.path().read_bytes()

    for name, ending in DOWNLOADS.items():
        assert saved(name) == (out / FOLDERS[name] / f"gate.{ending}").read_bytes(), name
    assert saved("COCO JSON") == (out / "predictions.json").read_bytes()
    with zipfile.ZipFile(io.BytesIO(saved("Cut-outs"))) as archive:
        written = {path.name: path.read_bytes() for path in (out / "cutouts" / "gate").iterdir()}
        assert {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()} == written
    assert len(written) == len(json.loads((out / "predictions.json").read_text())["annotations"])


def test_several_photos_and_what_is_none(server, open_site, gate):
    page = open_site(server, refusals=True)
    odd = "\u202egpj.exe"
    given = [file("gate.jpg", gate), file("notes.txt", b"hello", "text/plain"), file("empty.jpg", b"")]
    given += [file(HTML_NAME, picture(1)), file("huge.jpg", b"\xff\xd8" + bytes(1_000_001)), file(odd, picture(2))]
    page.set_input_files("#files", given)
    page.wait_for_function("document.querySelector('#told').innerText.includes('of 6')")
    page.wait_for_function("document.querySelector('#progress').hidden")
    assert page.locator("#told").inner_text() == "3 of 6 photos done."
    said = errors(page)
    assert [one.partition(":")[0] for one in said] == ["huge.jpg", "notes.txt", "empty.jpg"]
    assert "too large" in said[0] and "no photo" in said[1] and "empty" in said[2]
    assert not any("/" in one or "Error" in one for one in said)
    shown(page, "gate.jpg")
    names = page.locator("#strip button").evaluate_all("all => all.map((one) => one.title)")
    assert names[:2] == ["gate.jpg", HTML_NAME] and "\u202e" not in names[2]
    page.wait_for_function("[...document.querySelectorAll('#strip img')].every((one) => one.naturalWidth)")
    page.get_by_role("button", name=HTML_NAME).click()
    shown(page, HTML_NAME)
    assert page.locator("#summary h2").inner_text() == HTML_NAME
    assert page.locator("#strip [aria-current=true]").get_attribute("title") == HTML_NAME
    with page.expect_download() as download:
        page.get_by_role("link", name="COCO JSON").click()
    images = json.loads(download.value.path().read_bytes())["images"]
    assert [image["file_name"] for image in images] == [HTML_NAME]
    flat = io.BytesIO()
    Image.new("L", (2001, 1500)).save(flat, "PNG")
    give(page, file("flat.png", flat.getvalue()))
    (said,) = errors(page)  # those of before have gone
    assert said.startswith("flat.png: ") and "megapixels" in said


def test_choices_stay_when_the_photo_changes(server, open_site, gate):
    page = open_site(server)
    give(page, file("a.jpg", gate), file("b.jpg", picture(3)))
    set_percent(page, 33)
    classes(page).nth(2).uncheck()
    for name in ("b.jpg", "a.jpg"):
        page.get_by_role("button", name=name).click()
        shown(page, name)
        address = page.get_by_role("link", name="Overlay").get_attribute("href")
        assert parse_qs(urlsplit(address).query) == {"threshold": ["0.33"], "classes": ["0,1"]}
    assert not classes(page).nth(2).is_checked()
    assert page.locator("#least input[type=range]").input_value() == "33"


def test_the_last_choice_wins_however_slow_the_answers(server, open_site, masked, gate):
    page = open_site(server)
    give(page, file("gate.jpg", gate))
    shown(page, "gate.jpg")
    delays = iter([0.8, 0.0, 0.4, 0.0])
    asked = []

    def late(route):
        asked.append(route.request.url)
        page.wait_for_timeout(1000 * next(delays, 0))  # the page asks again where an answer takes long
        route.continue_()

    page.route("**/gradio_api/**", late)
    for percent in (90, 20, 80, 35):
        set_percent(page, percent)
    settled(page, 35, range(len(masked.names)))
    page.wait_for_timeout(1500)
    settled(page, 35, range(len(masked.names)))
    assert summary(page).startswith(masked.told(0.35, range(9)))
    assert len(asked) >= 2
    page.unroute_all(behavior="wait")
