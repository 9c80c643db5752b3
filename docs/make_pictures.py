"""Makes the pictures of README.md and the card in it: `.venv/bin/python docs/make_pictures.py` (make setup-test first).

Starts `tessera dev` on a home, by default a temporary one that the nightly job fills, and looks at it with a browser.
"""

import argparse
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
TESSERA = [str(Path(sys.executable).with_name("tessera"))]
COLUMNS = 80
_BROWSER = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
#: Neither canvas nor plots say when they are drawn.
_DRAWN_MS = 8000
#: The graph of the widest application keeps its details.
_GRAPH_WIDTH = 2400
_CARD = re.compile(r"<!-- card:begin -->.*?<!-- card:end -->", re.DOTALL)


def main() -> None:
    """Fill the home, write the card into README.md and four pictures into docs/pictures/."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--home", type=Path, help="a home that the nightly job has filled; default: a new one")
    arguments.add_argument("--port", type=int, default=3117)
    arguments.add_argument("--browser", default="/usr/bin/chromium")
    options = arguments.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tessera-") as place:
        home = options.home or Path(place) / "var"
        environment = {**os.environ, "TESSERA_HOME": str(home), "COLUMNS": str(COLUMNS)}
        if options.home is None:
            _write_card(_tessera(environment, "run", "churn_nightly"), home)
            _tessera(environment, "backfill", "churn_nightly", *_week())
            _tessera(environment, "run", "fraud_training")
            _tessera(environment, "run", "fraud_nightly")
        with _served(environment, options.port), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=options.browser, args=_BROWSER)
            page = browser.new_page()
            site = f"http://127.0.0.1:{options.port}"
            for app in ("churn", "fraud"):
                _lineage(page, site, app)
            _gate(page, site)
            _scores(page, site)
            browser.close()


def _week() -> list[str]:
    """Return the seven days before yesterday: the plots need more than one night."""
    today = datetime.now(UTC).date()
    return ["--from", str(today - timedelta(days=8)), "--to", str(today - timedelta(days=2))]


def _tessera(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([*TESSERA, *words], check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    return done.stdout.strip("\n")


def _write_card(card: str, home: Path) -> None:
    """Write the card between the markers of README.md, with the folder's path as after a clone."""
    spared = " " * (len(str(home)) - len("var"))
    shown = re.sub(rf"{re.escape(str(home))}(.*)│", rf"var\1{spared}│", card)
    shown = re.sub(r"TESSERA_HOME=var \\ +│\n│ +(\.venv.*)│", r"\1│", shown)
    readme = ROOT / "README.md"
    block = f"<!-- card:begin -->\n```text\n{shown}\n```\n<!-- card:end -->"
    readme.write_text(_CARD.sub(lambda _: block, readme.read_text()))


@contextmanager
def _served(environment: dict[str, str], port: int) -> Iterator[None]:
    server = subprocess.Popen([*TESSERA, "dev", "--port", str(port)], cwd=ROOT, env=environment)
    try:
        _wait_for(port, server)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if server.poll() is not None:
            raise SystemExit("tessera dev has ended")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(1)
        else:
            return
    raise SystemExit("tessera dev does not answer")


def _lineage(page: Page, site: str, app: str) -> None:
    """Picture the assets of one application, and what they read."""
    page.set_viewport_size({"width": _GRAPH_WIDTH, "height": 900})
    page.goto(f"{site}/locations/tessera/asset-groups/{app}/lineage")
    page.wait_for_timeout(_DRAWN_MS)
    folded = page.get_by_text("Hide navigation")
    if folded.is_visible():
        folded.click()
        page.wait_for_timeout(_DRAWN_MS)
    _save(page.screenshot(clip={"x": 68, "y": 162, "width": _GRAPH_WIDTH - 118, "height": 738}), f"lineage-{app}")


def _box(place: Locator) -> FloatRect:
    box = place.bounding_box(timeout=90_000)
    if box is None:
        raise SystemExit(f"{place} is not visible")
    return box


def _gate(page: Page, site: str) -> None:
    """Picture the dialog with the report, down to its curves."""
    page.set_viewport_size({"width": 1500, "height": 2000})
    page.goto(f"{site}/assets/churn/candidate")
    page.get_by_text("[Show Markdown]").first.click(timeout=90_000)
    page.wait_for_timeout(_DRAWN_MS)
    dialog, below = _box(page.get_by_role("dialog").last), _box(page.get_by_text("By slice", exact=True).last)
    _save(page.screenshot(clip={**dialog, "height": below["y"] - dialog["y"]}), "gate")


def _scores(page: Page, site: str) -> None:
    """Every number of the scores, night by night."""
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.goto(f"{site}/assets/churn/scores")
    page.get_by_text("Plots").first.click(timeout=90_000)
    page.get_by_role("button", name="Events").last.click()
    page.wait_for_timeout(_DRAWN_MS)
    _save(page.screenshot(), "scores")


def _save(png: bytes, name: str) -> None:
    """At most 256 colours: plain surfaces and text need no more."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    file = PICTURES / f"{name}.png"
    picture.save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
