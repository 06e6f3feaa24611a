"""Save a picture of a page that `charlm eval --html` wrote.

    python tools/record_page.py page.html docs/pictures/page.png

Needs Chromium. The picture shows the details of the third token with a high surprisal.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    """Open the page that the first argument names, and save its picture to the second."""
    page_path, picture_path = map(Path, sys.argv[1:])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 860})
        page.goto(page_path.resolve().as_uri())
        page.wait_for_timeout(1000)  # until the visible text is coloured
        page.locator(".block").first.click()
        page.keyboard.press("Home")
        for _ in range(3):
            page.keyboard.press("n")
        page.wait_for_timeout(500)
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=picture_path)
        browser.close()


if __name__ == "__main__":
    main()
