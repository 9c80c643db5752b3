"""The whole stack as one typed object, read from `stack.yaml`; the only place where the environment chooses a part.

A *profile* names an adapter for every port (`kind`), the calendar and the settings of the applications. Strings may
hold `${root}` (the project), `${home}` (where this profile keeps its data), `${NAME}` and `${NAME:-default}`
(environment). A value `{env: NAME}` stays a reference until the adapter is opened: use it for every secret.

Every setting of every part is checked when the file is read, also those of a third party's adapter.
"""

import os
from collections.abc import Callable, Mapping
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.errors import TesseraError, choose_from
from models.settings import APP_NAMES, Settings, TrainerSettings
from resources.layout import check_layout
from resources.stack.adapters import AdapterConfig, adapter_class
from resources.stack.configs import config_of
from resources.stack.document import Place, read_document
from resources.stack.interface import require_adapter
from resources.stack.profile import FIRST_DAY, RawProfile, expanded_path, raw_profile
from resources.stack.secrets import environment_value, filled_in
from resources.stack.strictness import WrongSetting, shown, strict
from resources.stack.table import PORTS, Port

ROOT = Path(__file__).resolve().parents[2]

#: Port -> kind -> config class of the adapters that ship with Tessera.
ADAPTERS: Mapping[str, Mapping[str, str]] = {name: port.adapters for name, port in PORTS.items()}

#: Storages that Dagster knows.
_STORAGES = ("postgres", "sqlite", "mysql", "custom")
_EPOCH = date(1970, 1, 1)
M = TypeVar("M", bound=BaseModel)


class Calendar(BaseModel):
    """The shop's first day, and when (UTC, like all days of the shop) the nightly job starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_day: date = Field(
        description="The first day that can be scored: the first partition. A profile that names no source may leave "
        f"it out: then it is {FIRST_DAY}, as in the simulated shop."
    )
    nightly_at: time = Field(
        default=time(2, 0), description="Time of day (UTC) at which churn_nightly starts; the other jobs follow it."
    )
    publish_within_hours: int = Field(
        default=2,
        ge=1,
        le=20,
        description="Hours after the start of a nightly job by which its day must be published; else the "
        "publication shows as overdue, and a notice is sent.",
    )

    heartbeat_url: str = Field(
        default="",
        pattern=r"^(https?://.*)?$",
        description="Address (http or https) that is asked after each nightly job that succeeded, so that a service "
        "outside alarms when it is not; `{job}` is replaced by the job's name. A secret: write ${NAME} (environment).",
    )

    @field_validator("first_day", mode="before")
    @classmethod
    def _is_a_day(cls, value: object) -> object:
        day = date.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(value, str) and (not isinstance(day, date) or value != day.isoformat()):
            raise ValueError("not written as YYYY-MM-DD")
        if isinstance(day, date) and day < _EPOCH:
            raise ValueError(f"no day before {_EPOCH} can be scored")
        return day

    @field_validator("nightly_at", mode="before")
    @classmethod
    def _is_a_minute(cls, value: object) -> object:
        at = time.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(value, str) and (not isinstance(at, time) or value != f"{at:%H:%M}"):
            raise ValueError("not written as HH:MM (UTC)")
        return at


class Stack:
    """The active profile: what each port is, where data lives, and the applications' settings.

    Raises:
        TesseraError: a setting is unknown, or has a wrong value.
    """

    def __init__(self, profile: RawProfile, table: Mapping[str, Port] = PORTS) -> None:
        self.name = profile.name
        self.home = profile.home
        self.table = table
        self._profile = profile
        self.calendar = self._built(Calendar, ("calendar",))
        self.settings = self._built(Settings, ("settings",))
        self.apps = self._named_apps()
        self.dagster_storage = self._dagster_storage()
        self._ports = {port: self._strict_port(port) for port in table}
        for port in table:
            self.config(port)
        for app, values in self._profile.values.get("settings", {}).items():
            for number, candidate in enumerate(values.get("candidates", [])):
                self._check_candidate(("settings", app, "candidates", number), candidate)

    def _named_apps(self) -> tuple[str, ...]:
        """The applications that the profile runs, in the project's order; all of them if it names none."""
        given = self._profile.values.get("apps", list(APP_NAMES))
        if not isinstance(given, list) or not given:
            raise self.wrong(("apps",), f"`apps` is {shown(given)}", f"a list: `[{', '.join(APP_NAMES)}]`")
        for number, name in enumerate(cast(list[Any], given)):
            if name not in APP_NAMES:
                says = f"There is no application {shown(name)}"
                raise self.wrong(("apps", number), says, choose_from(str(name), APP_NAMES))
        return tuple(name for name in APP_NAMES if name in given)

    def _dagster_storage(self) -> Mapping[str, Any] | None:
        """Place of Dagster's own records, as `storage` of a dagster.yaml; None: as the project's dagster.yaml says."""
        place = ("dagster_storage",)
        given = self._profile.values.get("dagster_storage")
        if given is None:
            return None
        if not isinstance(given, dict) or len(given) != 1 or not set(given) <= set(_STORAGES):
            says = f"`dagster_storage` is {shown(given)}"
            raise self.wrong(place, says, f"one of {', '.join(_STORAGES)}, as in Dagster's dagster.yaml")
        return self._checked(dict[str, dict[str, Any]], given, place)

    def kind(self, port: str) -> str:
        """Return the kind of adapter that this profile names for `port`."""
        return str(self._profile.values["ports"][port]["kind"])

    def config_class(self, port: str) -> type[dg.Config]:
        """Return the config class of the adapter that this profile names for `port`."""
        try:
            return adapter_class(port, self.kind(port), self.table[port].adapters)
        except TesseraError as error:
            where = self._profile.where(("ports", port, "kind"))
            raise TesseraError(f"{where}: {error.what}", expected=error.expected, todo=error.todo) from None

    def config(self, port: str) -> dg.Config:
        """Return the adapter's config as the profile gives it; secrets are still references."""
        return self._config(port, lambda name: dg.EnvVar(name))

    def open(self, port: str) -> Any:
        """Return the adapter of `port`, ready to use outside a Dagster run.

        Raises:
            TesseraError: a setting is wrong, a secret's environment variable is not set, the home is of another
                layout, or what the config opens is no adapter.
        """
        check_layout(self.home)
        found = opened(self._config(port, environment_value))
        require_adapter(found, port, self.kind(port), self.table[port].interface)
        return with_costs(found, self.home)

    def values(self, port: str) -> dict[str, Any]:
        """Return the adapter's settings that the profile gives, checked; secrets are references."""
        return self._ports[port]

    @property
    def variables(self) -> Mapping[str, str]:
        """Values of `${NAME}` in this profile."""
        return self._profile.variables

    def _strict_port(self, port: str) -> dict[str, Any]:
        place = ("ports", port)
        values = self._profile.values["ports"][port]
        if self.kind(port) not in self.table[port].adapters:
            values = {key: value for key, value in values.items() if key != "kind"}
        return self._checked(self.config_class(port), values, place)

    def _check_candidate(self, place: Place, values: Mapping[str, Any]) -> None:
        """Check one entry of `candidates` as a port's adapter is checked: kind, settings, and their values.

        The trainers that it is made of (`of`) are checked in the same way.
        """
        try:
            found = adapter_class("trainer", str(values["kind"]))
        except TesseraError as error:
            where = self._profile.where((*place, "kind"))
            raise TesseraError(f"{where}: {error.what}", expected=error.expected, todo=error.todo) from None
        given = {key: value for key, value in values.items() if key != "kind"}
        config_of(found, self._checked(found, given, place), place, self, lambda name: dg.EnvVar(name))
        for number, part in enumerate(TrainerSettings.model_validate(values).parts):
            inner = (*place, "of", number)
            self._check_candidate(inner, self._checked(TrainerSettings, part, inner))

    def _config(self, port: str, secret: Callable[[str], str]) -> dg.Config:
        return config_of(self.config_class(port), self._ports[port], ("ports", port), self, secret)

    def _built(self, kind: type[M], place: Place) -> M:
        values = self._profile.values.get(str(place[0]), {})
        return config_of(kind, self._checked(kind, values, place), place, self, str)

    def _checked(self, kind: Any, values: Any, place: Place) -> dict[str, Any]:
        try:
            return strict(kind, values, place)
        except WrongSetting as error:
            raise self.wrong(error.place, error.what, error.expected) from None

    def shown(self, place: Place) -> str:
        """Return ` is VALUE` for a message, or nothing for what may be a secret."""
        return self._profile.shown(place)

    def wrong(self, place: Place, what: str, expected: str) -> TesseraError:
        """Return the error for the value at that place, with its file and line."""
        full = what.replace("`", f"`{self.name}.", 1) if what.startswith("`") else what
        return TesseraError(
            f"{self._profile.where(place)}: {full.rstrip('.')}.", expected=expected, todo="Correct it in that line."
        )


def opened(config: dg.Config) -> Any:
    """Return the adapter of a config, references that are left in it looked up.

    Raises:
        TesseraError: an environment variable is not set.
    """
    complete = config if getattr(config, "keeps_references", False) else filled_in(config)
    return cast(AdapterConfig, complete).open()


def with_costs(adapter: Any, home: Path) -> Any:
    """Return the adapter; one whose calls cost money records them in the home."""
    if callable(keep_costs := getattr(adapter, "keep_costs", None)):
        from resources.cost_ledger import FILE, CostLedger

        keep_costs(CostLedger(home / FILE))
    return adapter


def load_stack(
    file: Path,
    name: str | None,
    home: str | None,
    environment: Mapping[str, str],
    ports: Mapping[str, Port] = PORTS,
) -> Stack:
    """Return the stack of profile `name` (None: the file's default), every setting checked.

    Raises:
        TesseraError: unreadable file, unknown profile, unknown or missing key, wrong type.
    """
    return Stack(raw_profile(read_document(file), ports, name, home, environment), ports)


def chosen_stack(profile: str | None = None, home: str | Path | None = None, file: str | Path | None = None) -> Stack:
    """Return the stack of these choices; of what is None, the environment decides as in `active_stack`.

    Raises:
        TesseraError: as `active_stack`.
    """
    chosen = {name: _from_environment(name) for name in ("TESSERA_PROFILE", "TESSERA_HOME", "TESSERA_STACK")}
    path = expanded_path(str(file), "The stack file").absolute() if file is not None else stack_file()
    name = profile if profile is not None else chosen["TESSERA_PROFILE"]
    place = str(home) if home is not None else chosen["TESSERA_HOME"]
    return load_stack(path, name, place, os.environ)


def stack_file() -> Path:
    """Return the file that TESSERA_STACK names, else the project's."""
    stack = os.environ.get("TESSERA_STACK")
    return expanded_path(stack, "TESSERA_STACK").absolute() if stack else ROOT / "stack.yaml"


@cache
def active_stack() -> Stack:
    """Return the stack that TESSERA_PROFILE, TESSERA_HOME and TESSERA_STACK (another file) choose for this process.

    A relative TESSERA_STACK starts from the working directory, and is made absolute for processes that are started
    elsewhere; a relative home starts from the folder of the stack file.

    Raises:
        TesseraError: as `load_stack`, or one of the three is set to nothing.
    """
    stack = chosen_stack()
    if os.environ.get("TESSERA_STACK"):
        os.environ["TESSERA_STACK"] = str(stack_file())
    return stack


def _from_environment(name: str) -> str | None:
    value = os.environ.get(name)
    if value is not None and not value.strip():
        raise TesseraError(f"{name} is set to nothing.", expected="a value", todo=f"Set it, or `unset {name}`.")
    return value
