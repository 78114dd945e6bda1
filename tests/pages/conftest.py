"""A real browser, and pages opened in it from disk."""

import shutil
from urllib.parse import urlsplit

import pytest
from web_servers import web_server, write_web_run

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    "--use-fake-device-for-media-stream",  # a camera that shows a clock
)
REFUSED = "Failed to load resource: the server responded with a status of"  # said of every answer that is a refusal


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if not path:
        pytest.fail("there is no chromium here: apt-get install -y chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens pages, and afterwards says that they were content: nothing on the console, nothing from the network."""
    said, asked, contexts = [], [], []

    def open_page(folder, *, name="index.html", check=True, **options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        if check:
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("dialog", lambda dialog: (said.append(f"alert {dialog.message}"), dialog.dismiss()))
            page.on("requestfailed", lambda request: said.append(f"failed {request.url}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if urlsplit(url).scheme not in ("file", "data")] == []


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run of a random model for classes of odd names."""
    return write_web_run(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def server(run):
    """The page of that model, for small photos."""
    with web_server(run, "--max-mb", "1", "--max-megapixels", "3") as server:
        yield server


@pytest.fixture
def open_site(browser):
    """Opens the page of a server, and afterwards says that it was content: nothing on the console, no other host."""
    said, asked, contexts = [], [], []

    def open_site(server, *, check=True, refusals=False, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("filechooser", lambda chooser: None)  # from now on: expect_file_chooser() alone may begin too late
        if check:
            page.on(
                "console", lambda message: refusals and message.text.startswith(REFUSED) or said.append(message.text)
            )
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("dialog", lambda dialog: (said.append(f"alert {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: asked.append((server.url, request.url)))
        page.goto(server.url)
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_site
    for context in contexts:
        context.close()
    assert said == []
    assert [url for own, url in asked if not url.startswith((own, "data:", "blob:"))] == []
