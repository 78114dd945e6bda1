"""Predictions in the real labelling page, in a real browser; pictures of it are kept to be looked at."""

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled_photos import HEIGHT, WIDTH, scene
from PIL import Image
from preannotated import STORED
from pycocotools import mask as coco_mask
from read_back import objects_of_result
from real_label_studio import PASSWORD, USER
from web_pages import painted

pytestmark = pytest.mark.label_studio

PICTURES = Path(__file__).resolve().parents[2] / "output" / "label_studio"
STAGE = 1  # the canvas, of several, that lies exactly over the photo
NEAR = 4  # pixels of the screen
POINTED = (
    12  # likewise: how far a line of 2 reaches beyond a sharp corner (a canvas allows ten half widths), and a blur
)
PATIENT = 60_000  # milliseconds, on a busy machine
REGIONS = "Htx.annotationStore.selected.regions"
ON_ITS_SIDE = "photo_6_3.jpg"


@pytest.fixture(scope="module")
def page(server):
    """A page of a browser, where the annotator has logged in."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if not path:
        pytest.fail("there is no chromium here: apt-get install -y chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENT)
        page.goto(f"{server.url}/user/login/")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/login" not in url)
        yield page
        browser.close()


def test_a_models_prediction_lies_on_its_objects(server, page, pushed):
    lies_on_its_objects(server, page, pushed[ON_ITS_SIDE], "prediction.png")


def test_a_brush_mask_with_a_hole_and_an_object_in_parts_lie_where_they_are(server, page, drawn):
    lies_on_its_objects(server, page, drawn[0], "drawn.png")


@pytest.mark.parametrize(
    ("image_format", "name"), [("JPEG", "side.jpg"), ("PNG", "turned.png"), ("HEIF", "IMG_0001.HEIC")]
)
def test_a_photo_that_a_click_has_sent_is_shown_with_what_was_found(image_format, name, server, page, sender, seen):
    way = STORED[6] if image_format != "HEIF" else None
    upright = Image.fromarray(scene(90)[0])
    exif = Image.Exif()
    exif[0x0112] = 6 if way else 1
    stream = io.BytesIO()
    (upright.transpose(way) if way else upright).save(stream, image_format, exif=exif)
    sent = sender.send(seen(stream.getvalue(), name), 0.5, range(3))
    task = int(sent.link.rpartition("=")[2])
    (prediction,) = server.ask("GET", f"/api/predictions/?task={task}")
    assert sent.link == f"{server.url}/projects/{prediction['project']}/data?task={task}"
    lies_on_its_objects(server, page, prediction, f"sent_{image_format}.png")


def lies_on_its_objects(server, page, prediction, picture):
    """What the page draws of a prediction is where its masks are, and nowhere else."""
    read = objects_of_result(prediction["result"], WIDTH, HEIGHT)
    assert read
    page.goto(f"{server.url}/projects/{prediction['project']}/data?task={prediction['task']}")
    shown, hidden = photograph(page, len(prediction["result"]), PICTURES / picture)
    height, width = shown.shape[:2]
    assert width / height == pytest.approx(WIDTH / HEIGHT, abs=0.01)  # the photo is upright

    drawn = (shown != hidden).any(axis=2).astype(np.uint8)
    outlines, inside = np.zeros((2, height, width), np.uint8)
    for _, rle in read:
        mask = cv2.resize(coco_mask.decode(rle), (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.drawContours(outlines, cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0], -1, 1)
        inside |= mask
    near, pointed = (np.ones((2 * reach + 1, 2 * reach + 1), np.uint8) for reach in (NEAR, POINTED))
    assert cv2.dilate(drawn, near)[outlines == 1].all() and drawn[inside == 1].mean() > 0.9
    assert not drawn[cv2.dilate(inside, pointed) == 0].any()


def photograph(page, regions, file):
    """The photo of a task that was opened, with its so many regions and without; the page is kept as a picture."""
    page.locator("canvas").nth(STAGE).wait_for()
    page.wait_for_function(f"{REGIONS}.length == {regions}")
    still(page)
    # The page fits a photo into the room that there was before its panels came, and it stays zoomed.
    page.evaluate(f"{REGIONS}[0].object.sizeToFit()")
    still(page)
    box = page.locator("canvas").nth(STAGE).bounding_box()
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file)
    shots = [page.screenshot(clip=box)]
    page.evaluate(f"{REGIONS}.forEach(region => region.toggleHidden())")
    page.wait_for_function(f"{REGIONS}.every(region => region.hidden)")
    still(page)
    shots.append(page.screenshot(clip=box))
    return [cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR) for shot in shots]


def still(page):
    """Waits until the page has drawn all and does not change any more."""
    before = None
    for _ in range(100):
        painted(page)
        shot = page.screenshot()
        if shot == before:
            return
        before = shot
        page.wait_for_timeout(300)
    pytest.fail("the page does not come to rest")
