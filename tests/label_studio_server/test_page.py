"""A pushed prediction in the real labelling page, in a real browser; its picture is kept to be looked at."""

import shutil
from pathlib import Path

import pytest
from real_label_studio import PASSWORD, USER

from campus_seg.tools.label_studio import main

pytestmark = pytest.mark.label_studio

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "output" / "label_studio" / "prediction.png"


def test_a_prediction_in_the_labelling_page(server, campus, run, token):
    from playwright.sync_api import sync_playwright

    main(["push", "--config-file", str(run), *campus.arguments(server), "--confidence-threshold", "0.3"])
    predictions = server.ask("GET", f"/api/predictions/?project={campus.number}")
    names = {task: name for name, task in campus.tasks.items()}
    on_its_side = next(one for one in predictions if names[one["task"]].startswith("photo_6"))
    assert on_its_side["result"]
    path = shutil.which("chromium")
    if not path:
        pytest.fail("there is no chromium here: apt-get install -y chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{server.url}/user/login/")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url("**/projects**")
        page.goto(f"{server.url}/projects/{campus.number}/data?task={on_its_side['task']}")
        page.locator("canvas").first.wait_for(timeout=60_000)
        page.wait_for_timeout(3000)
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()
