"""Data of a profile as pandas DataFrames and Python objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.apps import APPS, app_named
from assets.stages.app import App, FeatureService
from models.errors import TesseraError
from resources.layout import check_existing
from resources.stack.loader import Stack
from resources.stack.ports import Ports
from tessera.frames import frame, table

if TYPE_CHECKING:
    import pandas as pd

    from models.training.model_package import LoadedModel

#: A day as people write it: `2026-03-01`, a date, or a moment (its day).
Day = date | str


class Profile:
    """The data of a profile. Everything is read anew at each call, so what a job publishes meanwhile is seen.

    Attributes:
        name: of the profile.
        ports: its lake, sink, registry, ..., for everything that has no method here.

    Raises:
        TesseraError: no job has run in the profile's home; also from each method, as it says what is missing.
    """

    def __init__(self, stack: Stack) -> None:
        check_existing(stack.home)
        self.name = stack.name
        self.ports = Ports(stack)

    def __repr__(self) -> str:
        stack = self.ports.stack
        return f"<profile {self.name}: {', '.join(stack.apps)} in {stack.home}>"

    def published_days(self, app: str) -> list[date]:
        """Return the days with published scores, ascending."""
        return list(self.ports.sink.published_days(self._app(app, that="publishes").name))

    def scores(self, app: str, day: Day | None = None) -> pd.DataFrame:
        """Return the published scores of a day, by default of the newest: one row per entity."""
        from assets.stages.reading import for_users

        name = self._app(app, that="publishes").name
        days = self.published_days(name) if day is None else [_day(day)]
        if not days:
            raise TesseraError(
                f"No scores of {name} are published.",
                expected="at least one published day",
                todo=f"Run `tessera run {name}_nightly`.",
            )
        chosen = days[-1]
        _, rows = self.ports.sink.scores(name, chosen)
        return frame(for_users(rows.read_all(), chosen))

    def features(self, app: str, entities: Any) -> pd.DataFrame:
        """Return entities with their features as they were known at each row's `event_timestamp` (UTC).

        Args:
            app: an application with features by entity.
            entities: a DataFrame with the entity's column, e.g. `customer_id`, `event_timestamp`, and any others; rows
                and their order are kept.
        """
        from assets.stages.feature_days import missing_days
        from assets.stages.point_in_time import MOMENT, entity_rows, feature_days, joined, with_moments

        found, service = self._served(app)
        lake = self.ports.lake
        rows = with_moments(entity_rows(table(entities), service.entity, MOMENT))
        missing = missing_days(lake, found.features, feature_days(rows, lake, found))
        if missing:
            raise TesseraError(
                f"The features of {len(missing)} of these days are not computed yet, the first {missing[0]}.",
                expected="moments whose last end of a day has features",
                todo=f"Run `tessera features {app} --entities FILE --out FILE`, which computes them.",
            )
        return frame(joined(found, service, rows, lake, self.ports.feature_store))

    def online_features(self, app: str, entities: Any) -> pd.DataFrame:
        """Return entities with the features that are served of them now, and how each was found.

        Args:
            app: an application with features by entity.
            entities: ids, or a DataFrame with the entity's column; rows and their order are kept.
        """
        from assets.stages.point_in_time import entity_rows
        from resources.feature_store.port import online_part

        _, service = self._served(app)
        is_ids = isinstance(entities, list | tuple)
        rows = pa.table({service.entity: pa.array(entities)}) if is_ids else table(entities)
        found = online_part(self.ports.feature_store).online(service.name, entity_rows(rows, service.entity))
        return frame(found)

    def feature_table(self, app: str, first: Day, last: Day | None = None) -> pd.DataFrame:
        """Return the features that were stored for the days `first`..`last` (default: the first alone).

        Raises:
            TesseraError: none of these days has any.
        """
        found, lake = self._app(app), self.ports.lake
        begin, end = _day(first), _day(first if last is None else last)
        stored = sorted(lake.days(found.features))
        if not any(begin <= day <= end for day in stored):
            raise TesseraError(
                f"No features of {app} are stored for {begin}{'' if begin == end else f' to {end}'}.",
                expected=f"days from {stored[0]} to {stored[-1]}" if stored else "at least one night that ran",
                todo=f"Ask for one of these, or run `tessera run {app}_nightly --date {end}`.",
            )
        return frame(lake.scan(found.features, first=begin, last=end).to_table())

    def alerts(self, app: str, first: Day | None = None, last: Day | None = None) -> pd.DataFrame:
        """Return the alerts of the days `first`..`last` (default: the first alone), or all of them."""
        from assets.fraud.alerts import alert_table
        from assets.stages.alerts import listed_alerts

        self._app(app, that="raises_alerts")
        begin = date.min if first is None else _day(first)
        end = _day(last) if last is not None else date.max if first is None else begin
        return frame(alert_table(listed_alerts(self.ports.alert_store, app, begin, end)))

    def quarantine(self, table: str, day: Day | None = None) -> pd.DataFrame:
        """Return rows of a contracted table that broke their contract, with the reasons, the newest delivery first."""
        from assets.stages.reading import quarantined

        return frame(quarantined(self.ports.lake, table, None if day is None else _day(day)))

    def models(self, app: str) -> pd.DataFrame:
        """Return one row per model version, the newest first: metrics and tags are columns `metrics.*`, `tags.*`."""
        import pandas as pd

        versions = self.ports.registry.versions(self._app(app).name)
        about: list[dict[str, Any]] = [
            {"version": one.version, "champion": one.champion, "created_at": one.created_at, "metrics": one.metrics}
            | {"tags": one.tags}
            for one in versions
        ]
        return pd.json_normalize(about)

    def ledger(self, app: str) -> pd.DataFrame:
        """Return every change of the champion, oldest first: when, what, who and why."""
        import pandas as pd

        entries = self.ports.registry.ledger(self._app(app).name)
        return pd.DataFrame([entry.model_dump() for entry in entries])

    def model(self, app: str, version: str | None = None) -> LoadedModel:
        """Return the model of a version, by default the champion, after all its files were found to be unchanged."""
        from models.training.model_package import load

        name, registry = self._app(app).name, self.ports.registry
        chosen = registry.champion(name) if version is None else str(version)
        if chosen is None:
            raise TesseraError(
                f"There is no champion of {app}.", expected="a champion", todo=f"Run `tessera run {app}_training`."
            )
        return load(registry.fetch(name, chosen), trusted=registry.trusted_packages)

    def score(self, app: str, rows: Any, version: str | None = None) -> pd.Series:
        """Return the score of each row of features, of any day, by a version, by default the champion; unpublished."""
        import pandas as pd

        index = None if isinstance(rows, pa.Table) else rows.index
        return pd.Series(self.model(app, version).score(table(rows)), index=index, name="score")

    def _served(self, app: str) -> tuple[App, FeatureService]:
        found = self._app(app, that="service")
        if found.service is None:
            raise AssertionError(f"{app} was chosen for its service")
        return found, found.service

    def _app(self, name: str, *, that: str = "") -> App:
        """Return one of the profile's applications, with a true attribute `that`."""
        words = {"publishes": "publishes scores", "raises_alerts": "raises alerts", "service": "has features by entity"}
        known: Sequence[App] = [app for app in APPS if app.name in self.ports.stack.apps]
        able = [app for app in known if not that or getattr(app, that)]
        says = f" that {words[that]}" if that else ""
        return app_named(name, able, that=f"{says} in profile {self.name!r}")


def _day(given: Day) -> date:
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, date):
        return given
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError):
        raise TesseraError(f"{given!r} is not a day.", expected="YYYY-MM-DD", todo="Correct the date.") from None
