"""A pushed prediction in the real labelling page, in a real browser; its picture is kept to be looked at."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled_photos import HEIGHT, WIDTH
from pycocotools import mask as coco_mask
from read_back import objects_of_result
from real_label_studio import PASSWORD, USER

pytestmark = pytest.mark.label_studio

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "output" / "label_studio" / "prediction.png"
STAGE = 1  # the canvas, of several, that lies exactly over the photo
NEAR = 4  # pixels of the screen
PATIENT = 60_000  # milliseconds, on a busy machine
REGIONS = "Htx.annotationStore.selected.regions"
ON_ITS_SIDE = "photo_6_3.jpg"


def test_a_prediction_lies_on_its_objects_in_the_labelling_page(server, campus, pushed):
    prediction = pushed[ON_ITS_SIDE]
    read = objects_of_result(prediction["result"], WIDTH, HEIGHT)
    assert read
    address = f"{server.url}/projects/{campus.number}/data?task={prediction['task']}"
    shown, hidden = photograph(address, len(prediction["result"]))
    height, width = shown.shape[:2]
    assert width / height == pytest.approx(WIDTH / HEIGHT, abs=0.01)  # the photo is upright

    drawn = (shown != hidden).any(axis=2).astype(np.uint8)
    outlines, inside = np.zeros((2, height, width), np.uint8)
    for _, rle in read:
        mask = cv2.resize(coco_mask.decode(rle), (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.drawContours(outlines, cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0], -1, 1)
        inside |= mask
    near = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
    assert cv2.dilate(drawn, near)[outlines == 1].all() and drawn[inside == 1].mean() > 0.9
    assert not drawn[cv2.dilate(inside, near) == 0].any()


def photograph(address, regions):
    """A task's photo as the page shows it, with its so many regions and without; the page is kept as a picture."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if not path:
        pytest.fail("there is no chromium here: apt-get install -y chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{address.partition('/projects')[0]}/user/login/")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto(address)
        page.locator("canvas").nth(STAGE).wait_for(timeout=PATIENT)
        page.wait_for_function(f"{REGIONS}.length == {regions}", timeout=PATIENT)
        box = page.locator("canvas").nth(STAGE).bounding_box()
        shots = [still(page, box)]
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE)
        page.evaluate(f"{REGIONS}.forEach(region => region.toggleHidden())")
        page.wait_for_function(f"{REGIONS}.every(region => region.hidden)", timeout=PATIENT)
        shots.append(still(page, box))
        browser.close()
    return [cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR) for shot in shots]


def still(page, box):
    """A part of the page once it has drawn all and does not change any more, a PNG."""
    before = None
    for _ in range(100):
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shot = page.screenshot(clip=box)
        if shot == before:
            return shot
        before = shot
        page.wait_for_timeout(300)
    pytest.fail("the page does not come to rest")
