"""Changes of one run's config, written as in `stack.yaml`: settings of the applications, and adapters of ports."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from models.errors import TesseraError
from models.settings import Settings
from resources.stack.adapters import adapter_class
from resources.stack.configs import config_of
from resources.stack.document import Place
from resources.stack.loader import Stack
from resources.stack.profile import filled, merged
from resources.stack.strictness import WrongSetting, may_be_secret, shown, strict


class RunConfig:
    """The config that a run gives one resource.

    Args:
        resource: its key.
        given: the part under `resources: KEY: config`.
    """

    def __init__(self, resource: str, given: Mapping[str, Any]) -> None:
        self._resource = resource
        self._given = given

    def wrong(self, place: Place, what: str, expected: str) -> TesseraError:
        """Return the error for the value at that place."""
        todo = f"Correct it in the run's config, under `resources: {self._resource}: config`."
        del place  # is part of `what`
        return TesseraError(f"The config of this run: {what.rstrip('.')}.", expected=expected, todo=todo)

    def shown(self, place: Place) -> str:
        """Return ` is VALUE`, or nothing for what may be a secret or is not given."""
        value: Any = self._given
        for part in place[1 if self._resource == "settings" else 2 :]:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return ""
        return "" if may_be_secret(place) else f" is {shown(value)}"

    def checked(self, kind: Any, values: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """Return `values` as a class wants them.

        Raises:
            TesseraError: a key is no setting, or a value of another type.
        """
        try:
            return strict(kind, values, place)
        except WrongSetting as error:
            raise self.wrong(error.place, error.what, error.expected) from None


def changed_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return the settings with what a run changes, e.g. `{"churn": {"horizon_days": 45}}`.

    Raises:
        TesseraError: a key is no setting, or a value of another type or out of range.
    """
    if not changes:
        return settings
    run, place = RunConfig("settings", changes), ("settings",)
    values = run.checked(Settings, merged(settings.model_dump(mode="json"), changes), place)
    return config_of(Settings, values, place, run, str)


def adapter_of_run(stack: Stack, port: str, given: Mapping[str, Any], secret: Callable[[str], str]) -> dg.Config:
    """Return the adapter's config with what a run changes, e.g. `{"kind": "delta", "path": "${home}/trial"}`.

    Settings that are left out stay as the profile has them; another `kind` begins anew.

    Args:
        stack: the profile.
        port: its name.
        given: any part of a `stack.yaml`.
        secret: value of a secret by the name of its environment variable.

    Raises:
        TesseraError: no such adapter, or a wrong setting.
    """
    run, place = RunConfig(port, given), ("ports", port)
    kind = given.get("kind", stack.kind(port))
    if not isinstance(kind, str):
        raise run.wrong(place, f"`ports.{port}.kind` is {shown(kind)}", "the kind of an adapter")
    try:
        found = adapter_class(port, kind, stack.table[port].adapters)
    except TesseraError as error:
        raise run.wrong(place, error.what, error.expected) from None
    is_other = kind != stack.kind(port)
    left_out = stack.table[port].in_home(kind) if is_other else {}
    plain = left_out | {name: value for name, value in given.items() if name != "kind"}
    values = run.checked(found, filled(plain, stack.variables, lambda _: "The config of this run"), place)
    return config_of(found, values if is_other else stack.values(port) | values, place, run, secret)
