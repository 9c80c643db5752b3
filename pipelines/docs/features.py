"""The page of the documentation that lists the features."""

from collections.abc import Iterator
from importlib import import_module

from assets.apps import APPS
from assets.stages.app import App

_HEADER = ["| feature | meaning | unit | window |", "|---|---|---|---|"]


def features_page() -> str:
    """Markdown: what a row is, then every feature with its meaning, unit and window, for each application."""
    return "\n".join(["# Features", *(line for app in APPS for line in ("", *_section(app)))]) + "\n"


def _section(app: App) -> Iterator[str]:
    """Yield the page and the list of `models/features/<app>_definitions.py`."""
    listed = import_module(f"models.features.{app.name}_definitions")
    yield from (listed.PAGE, *_HEADER)
    yield from (f"| `{one.name}` | {one.meaning} | {one.unit} | {one.window} |" for one in listed.DEFINITIONS)
    yield from getattr(listed, "MORE_ROWS", ())
