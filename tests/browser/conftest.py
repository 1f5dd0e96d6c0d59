"""Chromium, and pages opened in it from disk with every request, message and dialog noted."""

import pathlib
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def chromium():
    """A running browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Opened:
    """A page in the browser, with what it asked for and said."""

    def __init__(self, page):
        self.page, self.requests, self.problems, self.dialogs = page, [], [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda m: m.type in ("error", "warning") and self.problems.append(m.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def time_range(self, name):
        """Start and end of a plot's time axis."""
        script = f"(() => {{ const r = antidrome.figures().get('{name}').x_range; return [r.start, r.end]; }})()"
        return self.page.evaluate(script)

    def title(self):
        """The heading of the neuron shown."""
        return self.page.locator("#neuron-title").text_content()

    def column(self, source, name):
        """A column of a figure's data."""
        return self.page.evaluate(f"Array.from(antidrome.figures().get('{source}').data['{name}'])")

    def downloads(self, figure):
        """What the buttons of a figure give: the text of CSV and SVG, the bytes of PNG."""
        found = {}
        for button in figure.locator(".saving button").all():
            with self.page.expect_download() as caught:
                button.click()
            kind = pathlib.Path(caught.value.suggested_filename).suffix[1:]
            assert kind == button.text_content().lower()
            data = caught.value.path().read_bytes()
            found[kind] = data if kind == "png" else data.decode("utf-8")
        return found

    def box(self, selector):
        """Where an element is on the screen, scrolled into view."""
        self.page.locator(selector).scroll_into_view_if_needed()
        return self.page.locator(selector).bounding_box()


@pytest.fixture
def show(chromium, tmp_path):
    """Open HTML in the browser: ``show(html, color_scheme="dark")``."""
    pages = []

    def _show(html, **options):
        file = tmp_path / f"page-{len(pages)}.html"
        file.write_text(html, "utf-8")
        page = chromium.new_page(viewport={"width": 1280, "height": 1000}, **options)
        pages.append(page)
        opened = Opened(page)
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return opened

    yield _show
    for page in pages:
        page.close()


@pytest.fixture
def serious():
    """What axe-core finds serious or critical in an opened page: ``serious(opened)``."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def _serious(opened):
        found = axe.run(opened.page).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {one['help']}; {one['nodes'][0]['html'][:160]}" for one in grave]

    return _serious
