"""A real browser for the tests of pages."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium")
LONGEST_WAIT = 30_000  # milliseconds, on a busy machine
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium to open a page with")
    playwright.expect.set_options(timeout=LONGEST_WAIT)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_file(browser):
    """Open pages in contexts of their own; nothing that they do may fail or leave them."""
    contexts, failures, requests, paths = [], [], set(), set()

    def open_page(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("request", lambda request: requests.add(request.url))
        context.set_default_timeout(LONGEST_WAIT)
        page = context.new_page()
        page.on("console", lambda message: failures.append(message.text))
        page.on("pageerror", lambda error: failures.append(str(error)))
        paths.add(path.as_uri())
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not failures
    assert {url for url in requests if not url.startswith("blob:")} <= {*paths, "data:,"}
