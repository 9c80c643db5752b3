"""Uses of a contracted table: tables made from it, and the days of history that they need."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.stages.app import App
from models.settings import Settings

#: Contracted table -> contracted tables whose rows are checked against it: catalogue prices check orders.
_JUDGED_BY = {"products": ("orders",)}


@dataclass(frozen=True)
class Dependants:
    """The applications, as far as the ingestion of a contracted table must know them; a resource of every profile."""

    apps: Sequence[App] = ()

    def tables(self, table: str) -> tuple[str, ...]:
        """Lake tables made from a contracted table: a reingestion of it drops or recomputes them."""
        return (*_JUDGED_BY.get(table, ()), *(app.features for app in self._using(table)))

    def history_days(self, table: str, settings: Settings) -> int:
        """Days before the day of a run that must be in the lake: the most that an application asks for."""
        usual = settings.ingestion.history_days
        return max((_days_of(app, table, settings) for app in self._using(table)), default=usual)

    def _using(self, table: str) -> list[App]:
        return [app for app in self.apps if table in app.tables]


def _days_of(app: App, table: str, settings: Settings) -> int:
    if table in app.beside:
        return app.beside[table](settings)
    return app.history_days(settings) if app.history_days else settings.ingestion.history_days
