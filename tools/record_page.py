"""Save a picture of a page that `charlm eval --html` or `charlm export` wrote.

    python tools/record_page.py page.html docs/pictures/page.png

Needs Chromium. The picture of a text shows the details of the third token with a high surprisal.
That of a model shows its three tabs side by side.
"""

import base64
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

SIZE = {"width": 1000, "height": 860}  # of a text
TAB_SIZE = {"width": 620, "height": 1080}
TABS = ("write", "read", "look")
CENTRE = 200, 470  # a place in the text that is read


def main() -> None:
    """Open the page that the first argument names, and save its picture to the second."""
    page_path, picture_path = map(Path, sys.argv[1:])
    address = page_path.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.wait_for_timeout(1000)  # until the visible text is coloured
        if page.locator("#tabs").count():
            record_tabs(browser, address, picture_path)
        else:
            record_text(page, picture_path)
        browser.close()


def record_text(page: Page, picture: Path) -> None:
    """Save the picture of a text."""
    page.locator(".block").first.click()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("n")
    page.wait_for_timeout(500)
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=picture)


def record_tabs(browser: Browser, address: str, picture: Path) -> None:
    """Save the picture of a model: its tabs side by side."""
    page = browser.new_page(viewport=TAB_SIZE)
    page.goto(address)
    page.locator("[name=seed]").fill("This is")
    page.locator("[name=rngSeed]").fill("1")
    page.wait_for_timeout(1000)
    page.locator("#settings .main").click()
    page.wait_for_timeout(1500)
    shots = []
    for tab in TABS:
        page.locator(f"#{tab}-tab").click()
        page.wait_for_timeout(500)
        if tab == "read":
            page.mouse.move(*CENTRE)
        if tab == "look":
            page.locator("#columns").press(" ")  # a unit for spaces
        shots.append(base64.b64encode(page.screenshot()).decode())
    images = "".join(f'<img src="data:image/png;base64,{shot}">' for shot in shots)
    sheet = browser.new_page(
        viewport={"width": len(TABS) * (TAB_SIZE["width"] + 12), "height": TAB_SIZE["height"]}
    )
    sheet.set_content(
        f"<style>body {{ margin: 0; display: flex; gap: 12px; background: #bbb }}</style>{images}"
    )
    sheet.wait_for_timeout(500)
    sheet.screenshot(path=picture)


if __name__ == "__main__":
    main()
