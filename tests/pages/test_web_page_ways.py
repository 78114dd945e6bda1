"""Other ways to and through the page: phones, keys, cameras, examples, Label Studio, and servers in trouble."""

import json
from xml.sax.saxutils import quoteattr

import pytest
from fake_label_studio import TOKEN, FakeLabelStudio, running
from judged_runs import ODD_CLASSES
from web_pages import CONTRASTS, DROP, classes, errors, file, give, picture, rows, settled, shown, summary
from web_servers import web_server

pytestmark = pytest.mark.pages

BUSY = "The server is busy with other photos."


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_screen(server, open_site, width):
    page = open_site(server, viewport={"width": width, "height": 740}, refusals=True)
    overflow = "document.documentElement.scrollWidth"
    assert page.evaluate(overflow) <= width
    long = f"{'x' * 80}.png"
    give(page, file(long, picture()), file("b.png", picture(1)), file(f"{'y' * 70}.txt", b"no"))
    shown(page, long)
    assert rows(page) and errors(page)
    assert page.evaluate(overflow) <= width
    ends = page.locator("#campus :is(button, input, label, p, h2, a, img):visible").evaluate_all(
        "all => all.filter((one) => !one.closest('#strip, #examples, .scroll')"
        " && one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert ends == []


def test_a_phone_opens_its_own_camera_and_shows_what_is_found(server, open_site):
    page = open_site(server, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert page.locator("#phone-camera").get_attribute("capture") == "environment"
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Use the camera").tap()
    chooser.value.set_files([file("IMG_1.png", picture())])
    shown(page, "IMG_1.png")
    place = "document.querySelector('#summary').getBoundingClientRect().top"
    page.wait_for_function(f"{place} > -20 && {place} < 200")  # in view without having to look for it
    top = page.evaluate(
        "['#summary', '#view', '#choices', '#saves', '#objects'].map("
        "(one) => document.querySelector(one).getBoundingClientRect().top)"
    )
    assert top == sorted(top)
    page.locator("#files").focus()
    met = []
    while "range" not in met and len(met) < 40:
        page.keyboard.press("Tab")
        met.append(page.evaluate("document.activeElement.dataset.example || document.activeElement.type"))
    assert "5" in met[:-1] and met[-1] == "range"  # as on the screen, where the examples are above


def test_all_of_it_by_keys(server, open_site):
    page = open_site(server)
    focus = """() => {
      const one = document.activeElement;
      const shown = one.id === "files" ? one.nextElementSibling : one;
      const name = one.labels?.[0]?.innerText || one.ariaLabel || one.innerText || one.title;
      const what = one.dataset.save || one.dataset.example || one.id || one.type;
      const visible = getComputedStyle(shown).outlineStyle === "solid" && shown.getBoundingClientRect().width > 4;
      return [one.type === "range" ? "range" : what, name.trim(), visible];
    }"""

    def tab_to(wanted):
        for _ in range(40):
            page.keyboard.press("Tab")
            name, label, visible = page.evaluate(focus)
            assert label and visible, (name, label)
            if wanted in (name, label):
                return
        raise AssertionError(f"no key leads to {wanted}")

    page.keyboard.press("Tab")
    assert page.evaluate(focus)[0] == "files"  # the first of all
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([file("a.png", picture()), file("b.png", picture(1))])
    shown(page, "a.png")
    page.wait_for_function("document.querySelectorAll('#strip button').length === 2")
    tab_to("range")
    page.keyboard.press("ArrowRight")
    settled(page, 51, range(3))
    tab_to(ODD_CLASSES["car"])
    page.keyboard.press("Space")
    settled(page, 51, [number for number, name in enumerate(names(page)) if name != ODD_CLASSES["car"]])
    tab_to("b.png")
    page.keyboard.press("Enter")
    shown(page, "b.png")
    tab_to("overlay")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "b.overlay.jpg"


def names(page):
    return page.locator("#classes label").all_inner_texts()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_the_light_and_in_the_dark(server, open_site, scheme):
    page = open_site(server, color_scheme=scheme, refusals=True)
    give(page, file("a.png", picture()), file("no.txt", b"no"))
    shown(page, "a.png")
    page.get_by_role("button", name="Use the camera").click()
    page.wait_for_function("!document.querySelector('#shutter-told').innerText.includes('Waiting')")
    assert page.evaluate(CONTRASTS) == {}
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert max(shade) < 60 if scheme == "dark" else min(shade) > 200


def test_a_photo_by_the_computers_camera(server, open_site):
    page = open_site(server, permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    assert page.get_by_role("dialog", name="Camera").is_visible()
    page.wait_for_function("document.querySelector('#take').ariaDisabled === 'false'")
    page.wait_for_function("document.activeElement.id === 'take'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#strip button")
    name = page.locator("#strip button").get_attribute("title")
    assert name.startswith("camera ") and name.endswith(".jpg")
    shown(page, name)
    assert not page.get_by_role("dialog").is_visible()
    assert page.evaluate("document.querySelector('#live').srcObject") is None
    page.get_by_role("button", name="Use the camera").click()
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.id === 'camera'")


def test_a_camera_that_may_not_be_used(server, open_site):
    page = open_site(server)
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError')); }"
    )
    page.get_by_role("button", name="Use the camera").click()
    page.wait_for_function("document.querySelector('#shutter-told').innerText.startsWith('The browser may not use')")
    page.get_by_role("button", name="Take the photo").click(force=True)
    assert page.locator("#strip li").count() == 0
    page.get_by_role("button", name="Close").click()
    assert not page.get_by_role("dialog").is_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_photos_that_are_dropped_or_pasted(server, open_site, way):
    page = open_site(server)
    page.evaluate(DROP, [list(picture()), way])
    shown(page, f"{way}.png")


def test_an_example(server, open_site):
    page = open_site(server)
    page.get_by_role("button", name="Example 2").click()
    page.wait_for_selector("#strip button")
    shown(page, page.locator("#strip button").get_attribute("title"))
    assert "example" not in page.locator("#summary h2").inner_text().lower()  # by its own name


def test_busy_is_told_and_can_be_tried_again(server, open_site):
    page = open_site(server, refusals=True)
    refused = iter([True, False, True])

    def answer(route):
        if next(refused, False):
            route.fulfill(status=503, body=json.dumps({"error": BUSY}), headers={"Retry-After": "5"})
        else:
            route.continue_()

    page.route("**/photos*", answer)
    given = [file(f"{name}.png", picture(k)) for k, name in enumerate("abc")]
    give(page, *given)
    assert page.locator("#told").inner_text() == "1 of 3 photos done."
    assert errors(page) == [f"a.png: {BUSY}", f"c.png: {BUSY}"]
    give(page, file("no.txt", b"no"))
    assert [one[:6] for one in errors(page)] == ["a.png:", "c.png:", "no.txt"]  # what can be tried again stays
    page.get_by_role("button", name="Try these 2 photos again").click()
    page.wait_for_function("document.querySelectorAll('#strip button').length === 3")
    shown(page, "a.png")
    page.wait_for_function("document.querySelector('#progress').hidden")
    assert errors(page) == [] and page.locator("#again").is_hidden()


def test_it_can_be_stopped(server, open_site):
    page = open_site(server)
    page.route("**/photos*", lambda route: None)  # never answered
    page.set_input_files("#files", [file("a.png", picture()), file("b.png", picture(1))])
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("document.querySelector('#progress').hidden")
    assert sorted(errors(page)) == ["a.png: Stopped.", "b.png: Stopped."]
    page.unroute_all()
    give(page, file("c.png", picture(2)))
    shown(page, "c.png")


def test_an_answer_that_is_cut_off(server, open_site):
    page = open_site(server)
    page.route("**/photos*", lambda route: route.fulfill(content_type="application/json", body='{"token": "a'))
    give(page, file("a.png", picture()))
    assert errors(page)[0].startswith("a.png: The server cannot be reached.")
    page.unroute_all()
    give(page, file("b.png", picture(1)))
    shown(page, "b.png")
    page.locator("#again").click()
    page.wait_for_function("document.querySelectorAll('#strip button').length === 2")


def test_what_is_told_late_says_of_which_photo(server, open_site):
    page = open_site(server, refusals=True)
    give(page, file("a.png", picture()), file("b.png", picture(1)))
    shown(page, "a.png")
    held = []
    page.route("**/results/*/rgb*", lambda route: held.append(route))
    page.get_by_role("link", name="RGB mask").click()
    page.get_by_role("button", name="b.png", exact=True).click()
    shown(page, "b.png")
    held[0].fulfill(status=503, json={"error": BUSY})
    page.wait_for_function("said => document.querySelector('#said').innerText === said", arg=f"a.png: RGB mask: {BUSY}")


def test_pictures_that_do_not_come_say_so(server, open_site):
    page = open_site(server, refusals=True)
    answers = iter([{"status": 503, "json": {"error": BUSY}}, {"body": "no picture", "content_type": "image/jpeg"}])

    def answer(route):
        told = next(answers, None)
        route.fulfill(**told) if told else route.continue_()

    page.route("**/results/*/view*", answer)
    give(page, file("a.png", picture()))
    for said in (f"The picture cannot be shown. {BUSY}", "The picture that came cannot be shown."):
        page.wait_for_function("said => document.querySelector('#stage-told').innerText === said", arg=said)
        assert page.locator("#view").is_hidden()
        page.locator("#stage").get_by_role("button", name="Try again").click()
    shown(page, "a.png")
    page.route("**/results/*/rgb*", lambda route: route.fulfill(status=503, json={"error": BUSY}))
    page.get_by_role("link", name="RGB mask").click()
    page.wait_for_function("said => document.querySelector('#said').innerText === said", arg=f"RGB mask: {BUSY}")


def test_a_server_that_was_stopped_and_begins_anew(run, open_site):
    with web_server(run, CAMPUS_WEB_PASSWORD="walk") as server:
        page = open_site(server, check=False, http_credentials={"username": "a", "password": "walk"})
        give(page, file("a.png", picture()))
        shown(page, "a.png")
        before = summary(page)
    give(page, file("b.png", picture(1)))
    assert errors(page)[0].startswith("b.png: The server cannot be reached.")
    page.get_by_role("link", name="Overlay").click()
    page.wait_for_function("document.querySelector('#said').innerText.includes('cannot be reached')")
    with web_server(run, port=server.port, CAMPUS_WEB_PASSWORD="walk"):
        page.get_by_role("button", name="a.png").click()
        page.wait_for_function(
            "document.querySelector('#stage-told').innerText.startsWith('This photo is no longer here')"
        )
        page.get_by_role("button", name="Send it again").click()
        shown(page, "a.png")
        assert summary(page) == before
        assert page.locator("#strip li").count() == 1
        page.locator("#again").click()
        page.wait_for_function("document.querySelectorAll('#strip button').length === 2")


def test_a_photo_goes_to_label_studio_once(run, open_site, tmp_path):
    labels = "".join(f"<Label value={quoteattr(name)}/>" for name in [*ODD_CLASSES.values(), "bench"])
    image = '<Image name="image" value="$image"/>'
    interface = f'<View>{image}<PolygonLabels name="p" toName="image">{labels}</PolygonLabels></View>'
    (tmp_path / "token").write_text(TOKEN)
    with running(FakeLabelStudio(interface=interface)) as fake:
        arguments = ("--url", fake.url, "--project", 1, "--token-file", tmp_path / "token")
        with web_server(run, *arguments) as server:
            page = open_site(server)
            give(page, file("a.png", picture()))
            shown(page, "a.png")
            assert classes(page).count() == 3
            said = []
            for _ in range(2):
                page.get_by_role("button", name="Send to Label Studio").click()
                page.wait_for_function("!/^Sending|^$/.test(document.querySelector('#said').innerText)")
                said.append(page.locator("#said").inner_text())
            assert len(fake.tasks) == 1 and len(fake.predictions) == 1
            assert said[0] != said[1]
            assert page.get_by_role("link", name="Open it there").get_attribute("href").startswith(fake.url)


def test_without_label_studio_there_is_no_button(server, open_site):
    page = open_site(server)
    give(page, file("a.png", picture()))
    shown(page, "a.png")
    assert page.locator("#saves").inner_text().split("\n")[0] == "Download"
    assert page.get_by_role("button", name="Label Studio").count() == 0
