"""A pushed prediction in the real labelling page, in a real browser; its picture is kept to be looked at."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled_photos import HEIGHT, WIDTH
from real_label_studio import PASSWORD, USER

from campus_seg.label_studio.raw import RawPhoto
from campus_seg.label_studio.regions import read_regions
from campus_seg.tools.label_studio import main

pytestmark = pytest.mark.label_studio

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "output" / "label_studio" / "prediction.png"
STAGE = 1  # the canvas, of several, that lies exactly over the photo
NEAR = 4  # pixels of the screen


def test_a_prediction_lies_on_its_objects_in_the_labelling_page(server, campus, run, token):
    main(["push", "--config-file", str(run), *campus.arguments(server), "--confidence-threshold", "0.3"])
    predictions = server.ask("GET", f"/api/predictions/?project={campus.number}")
    names = {task: name for name, task in campus.tasks.items()}
    on_its_side = next(one for one in predictions if names[one["task"]].startswith("photo_6"))
    shown, hidden = photograph(f"{server.url}/projects/{campus.number}/data?task={on_its_side['task']}")
    height, width = shown.shape[:2]
    assert width / height == pytest.approx(WIDTH / HEIGHT, abs=0.01)  # the photo is upright

    drawn = (shown != hidden).any(axis=2).astype(np.uint8)
    outlines, inside = np.zeros((2, height, width), np.uint8)
    read = RawPhoto("", None, None)
    read_regions(on_its_side["result"], read, [])
    rings = [ring for annotation in read.annotations for ring in annotation.rings]
    assert rings
    for ring in rings:
        corners = np.round(ring * (width / WIDTH, height / HEIGHT)).astype(np.int32)
        cv2.polylines(outlines, [corners], True, 1)
        cv2.fillPoly(inside, [corners], 1)
    near = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
    assert cv2.dilate(drawn, near)[outlines == 1].all() and drawn[inside == 1].mean() > 0.9
    assert not drawn[cv2.dilate(inside, near) == 0].any()


def photograph(address):
    """A task's photo as the page shows it, with the regions and without them; the page is kept as a picture."""
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
        page.locator("canvas").nth(STAGE).wait_for(timeout=60_000)
        page.wait_for_timeout(3000)  # until it has drawn the regions, too
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE)
        box = page.locator("canvas").nth(STAGE).bounding_box()
        shots = [page.screenshot(clip=box)]
        page.evaluate("Htx.annotationStore.selected.regions.forEach(region => region.toggleHidden())")
        page.wait_for_timeout(1000)
        shots.append(page.screenshot(clip=box))
        browser.close()
    return [cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR) for shot in shots]
