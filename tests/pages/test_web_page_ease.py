"""The page stays where it is, the focus too, and what happens is told to those who do not see it."""

import pytest
from web_pages import errors, file, give, painted, picture, set_percent, settled, shown, summary

pytestmark = pytest.mark.pages

TOP = "id => document.getElementById(id).getBoundingClientRect().top"


def test_the_focus_stays_when_an_answer_comes(server, open_site):
    page = open_site(server)
    give(page, file("a.png", picture()))
    shown(page, "a.png")
    held, released = [], []
    page.route("**/gradio_api/**", lambda route: route.continue_() if released else held.append(route))
    set_percent(page, 40)
    link = page.get_by_role("link", name="Overlay")
    link.focus()
    for _ in range(100):
        if held:
            break
        page.wait_for_timeout(100)
    assert held
    released.append(True)
    for route in held:
        route.continue_()
    settled(page, 40, range(3))
    assert link.evaluate("one => one === document.activeElement")
    assert "threshold=0.4&" in link.get_attribute("href")


def test_the_summary_is_told_by_what_was_there_before(server, open_site):
    page = open_site(server)
    page.evaluate("document.querySelectorAll('[role=status]').forEach((one) => { one.dataset.before = ''; })")
    for percent in (50, 30):  # screen readers say what changes in such an element, not a new one
        set_percent(page, percent)
        give(page, file("a.png", picture()))
        shown(page, "a.png")
        assert summary(page) in page.locator("[role=status][data-before]:has(.photo)").inner_text()


def test_many_photos_move_neither_the_choices_nor_the_picture(server, open_site):
    page = open_site(server, viewport={"width": 1280, "height": 800})
    page.wait_for_load_state()
    painted(page)
    begun = page.evaluate(TOP, "least")
    give(page, file("0.png", picture()))
    shown(page, "0.png")
    view = page.evaluate(TOP, "view")
    give(page, *(file(f"{k}.png", picture(k)) for k in range(1, 13)))
    shown(page, "1.png")
    assert page.evaluate(TOP, "view") == view
    page.get_by_role("button", name="0.png", exact=True).click()
    give(page, file("last.png", picture(20)))
    shown(page, "last.png")
    inside = page.locator("#strip [aria-current=true]").evaluate(
        "one => [one.getBoundingClientRect(), document.querySelector('#strip').getBoundingClientRect()]"
        ".map((box) => [box.left, box.right])"
    )
    assert inside[1][0] <= inside[0][0] and inside[0][1] <= inside[1][1]  # the photo that is shown is in sight
    page.wait_for_function("document.querySelector('#told').innerText === ''")
    assert page.evaluate(TOP, "least") == begun
    edges = page.evaluate(
        "['#least', '#view'].map((one) => document.querySelector(one).getBoundingClientRect().bottom)"
    )
    assert max(edges) <= 800  # both are seen at once


def test_photos_that_are_too_large_are_counted(server, open_site):
    page = open_site(server)
    huge = b"\xff\xd8" + bytes(1_500_000)
    give(page, file("huge.jpg", huge), file("a.png", picture()))
    assert page.locator("#told").inner_text() == "1 of 2 photos done."
    assert errors(page) == ["huge.jpg: This file is too large: it has 1.5 MB, and a photo may have at most 1 MB."]
    give(page, file("huge.jpg", huge))
    assert page.locator("#told").inner_text() == "" and len(errors(page)) == 1


def test_it_has_a_picture_of_its_own_in_the_tab(server, open_site):
    assert open_site(server).locator("link[rel=icon]").get_attribute("href").startswith("data:image/svg+xml,")


def test_what_each_download_is_can_be_read(server, open_site):
    page = open_site(server)
    give(page, file("a.png", picture()))
    shown(page, "a.png")
    explained = page.locator("#kept details li b")
    assert not explained.first.is_visible()
    page.get_by_text("What these are").focus()
    page.keyboard.press("Enter")
    assert explained.all_inner_texts() == page.locator("#kept .saves a").all_inner_texts()
    assert explained.last.is_visible()


@pytest.mark.parametrize(("width", "settles"), [(360, True), (1280, False)])
def test_errors_stay_in_sight_on_a_phone(server, open_site, width, settles):
    """There, the page goes to what is found, unless something that went wrong stands above it."""
    page = open_site(server, viewport={"width": width, "height": 500})
    huge = file("huge.jpg", b"\xff\xd8" + bytes(1_500_000))
    for given, moved in (((huge, file("a.png", picture())), False), ((file("b.png", picture(1)),), settles)):
        give(page, *given)
        shown(page, given[-1]["name"])
        assert (page.evaluate("scrollY") > 0) is moved
