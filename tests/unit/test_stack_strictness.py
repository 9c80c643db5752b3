"""A stack file says what it seems to say, or is refused with the file, the line and the name that was meant."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import dagster as dg
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from models.errors import TesseraError
from models.settings import Settings
from resources.lake.port import Lake
from resources.stack.adapters import adapter_class
from resources.stack.loader import ADAPTERS, ROOT, Stack, active_stack, load_stack
from resources.stack.ports import stack_resources
from resources.stack.strictness import WrongSetting, strict
from resources.stack.table import KINDS

SHIPPED = (ROOT / "stack.yaml").read_text()
OURS = [(port, kind) for port, kinds in KINDS.items() for kind in kinds]
SECRET = "s3cr3t-1f9e"  # noqa: S105 - made up


class Limit(dg.Config):
    """Nested settings."""

    most: int = 1


class LooseConfig(dg.Config):
    """An adapter of a third party that forbids nothing."""

    kind: Literal["loose"] = "loose"
    path: str = ""
    flag: bool = False
    count: int = 1
    share: float = 0.5
    limit: Limit = Limit()
    limits: list[Limit] = Field(default=[])
    named: dict[str, Limit] = Field(default={})
    password: str = Field(default="", alias="pass_word")
    headers: dict[str, str] = Field(default={})
    options: dict[str, Any] = Field(default={})

    def open(self) -> SimpleNamespace:
        """A lake in name only, with the config that opened it."""
        return SimpleNamespace(**dict.fromkeys(Lake.__abstractmethods__), config=self)


#: Settings that are lists of mappings.
LISTS = {"limits", "campaigns", "variants", "guardrails"}
LOOSE = f"{__name__}.LooseConfig"


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    """The shipped file with its texts replaced."""
    text = SHIPPED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = folder / "stack.yaml"
    file.write_text(text)
    return file


def read(file: Path, name: str | None = None, home: str | None = None) -> Stack:
    return load_stack(file, name, home, os.environ)


def refused(file: Path, name: str | None = None, home: str | None = None) -> TesseraError:
    with pytest.raises(TesseraError) as raised:
        read(file, name, home)
    assert raised.value.expected
    assert raised.value.todo
    return raised.value


def with_lake(folder: Path, settings: str) -> Path:
    return written(folder, ('lake: {kind: delta, path: "${home}/lake"}', f"lake: {{kind: {LOOSE}, {settings}}}"))


@pytest.mark.parametrize(("port", "kind"), OURS)
def test_every_adapter_of_ours_is_frozen_and_forbids_unknown_settings(port: str, kind: str) -> None:
    config = adapter_class(port, kind).model_config
    assert (config.get("frozen"), config.get("extra")) == (True, "forbid")


@pytest.mark.parametrize("kind", [*(adapter_class(*one) for one in OURS), LooseConfig, Settings])
def test_an_unknown_setting_is_refused_at_any_depth(kind: type[BaseModel]) -> None:
    for place in places(kind):
        values: dict[str, Any] = {}
        inner: Any = values
        for part in place:
            inner[part] = [{}] if part in LISTS else {}
            inner = inner[part][0] if part in LISTS else inner[part]
        inner["no_such_setting"] = 1
        with pytest.raises(WrongSetting, match="no_such_setting` is no setting"):
            strict(kind, values)


def places(kind: type[BaseModel], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where settings may stand: a model, the models in it, and one of each mapping of models."""
    found = [above]
    for name, field in kind.model_fields.items():
        inner = [one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(one, type)]
        models = [one for one in inner if issubclass(one, BaseModel) and one.model_config.get("extra") != "allow"]
        for model in models:
            several = getattr(field.annotation, "__origin__", None) in (dict, Mapping)
            found += places(model, (*above, name, "one") if several else (*above, name))
    return found


def candidate(written: str) -> tuple[str, str]:
    return "churn: {cut", f"churn: {{candidates: [{written}], cut"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "line", "says", "meant"),
    [
        ([("kind: mlflow,", "kind: mlflow, trackng_uri: x,")], "kind: mlflow", "trackng_uri", "'tracking_uri'"),
        ([("default_profile:", "default_profil:")], "default_profil:", "default_profil", "'default_profile'"),
        ([("  registry:", "  registy:")], "registy:", "'registy'", "'registry'"),
        ([("churn: {cut", "churn: {horizon_dyas: 3, cut")], "horizon_dyas", "churn.horizon_dyas", "'horizon_days'"),
        ([("gate: {top", "gate: {min_qualty: 1, top")], "min_qualty", "fraud.gate.min_qualty", "'min_quality'"),
        ([candidate("{kind: xgbost}")], "kind: xgbost", "'xgbost'", "'xgboost'"),
        ([candidate("{kind: xgboost, max_dpth: 2}")], "max_dpth", "candidates.0.max_dpth", "'max_depth'"),
        (
            [candidate("{kind: xgboost, max_depth: 0}")],
            "max_depth",
            "greater than or equal to 1",
            "docs/stack.md",
        ),
        ([("  calendar:", "  calender:")], "calender:", "local.calender", "'calendar'"),
        ([('nightly_at: "02', 'nightly_att: "02')], "nightly_att", "calendar.nightly_att", "'nightly_at'"),
        ([("kind: delta,", "kind: detla,")], "kind: detla", "'detla'", "'delta'"),
        ([("profile: local", "profile: locl")], "profile: locl", "'locl'", "'local'"),
        ([("extends: local", "extends: loacl")], "extends: loacl", "'loacl'", "'local'"),
        ([("first_day: 2025-01-01", "first_day: 2025-13-01")], "2025-13-01", "'2025-13-01': month must", ""),
        ([("first_day: 2025-01-01", "first_day: 20250101")], "20250101", "first_day` is 20250101", "YYYY-MM-DD"),
        ([("first_day: 2025-01-01", "first_day: 1969-12-31")], "1969-12-31", "no day before 1970", ""),
        ([('"02:00"', '"25:00"')], "25:00", "'25:00': hour must", ""),
        ([('"02:00"', '"02:00+01:00"')], "+01:00", "not written as HH:MM (UTC)", ""),
        ([('{kind: delta, path: "${home}/lake"}', "delta")], "lake: delta", "ports.lake` is 'delta'", "{kind: delta}"),
        ([('{kind: delta, path: "${home}/lake"}', "{path: x}")], "{path: x}", "has no `kind`", "'delta'"),
        ([("    home: var\n", "    home: var\n    home: war\n")], "home: war", "`home` twice", ""),
        ([("    home: var\n", "\thome: var\n")], "\thome", "'\\t'", ""),
        ([("    home: var\n", "    home: !env X\n")], "!env", "!env", "{env: NAME}"),
        ([("profiles:\n", "profiles: null\nx-old:\n")], "profiles: null", "`profiles` is None", ""),
        ([("profiles:\n", "profiles:\n  listed: [a]\n")], "[a]", "'listed' is a list", "a mapping"),
        ([("    home: var\n", "    extends: local\n    home: var\n")], "extends: local", "local -> local", ""),
        ([("threads: 2", 'threads: "2"')], 'threads: "2"', "threads` is '2'", "a whole number"),
        ([("threads: 2", "threads: 2.7")], "threads: 2.7", "threads` is 2.7", "a whole number"),
        ([("threads: 2", "threads: true")], "threads: true", "threads` is True", "a whole number"),
        ([("threads: 2", 'threads: "${T:-two}"')], "${T:-two}", "'${T:-two}'", "a whole number"),
        ([("threads: 2", "threads: {env: T}")], "{env: T}", "is a secret", "${T}"),
        ([("seed: 7", "seed: 017")], "seed: 017", "seed` is '017'", "a whole number"),
        ([("kind: delta,", "kind: os.path.join,")], "os.path.join", "no config class", "dagster.Config"),
    ],
)
def test_a_slip_is_answered_with_file_line_and_what_was_meant(
    tmp_path: Path, changes: list[tuple[str, str]], line: str, says: str, meant: str
) -> None:
    file = written(tmp_path, *changes)
    error = refused(file, "online-retail" if "extends: loacl" in line else None)
    number = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if line in text)
    if line in ("extends: local", "home: war"):  # of the key that was there first, or the one around it
        number = int(error.what.split(":")[1].split()[0])
    assert error.what.startswith(f"{file}:{number}"), error.what
    assert says in error.what
    assert meant in error.expected


def test_a_misspelt_key_of_a_table_is_found_in_the_profile_that_has_it(tmp_path: Path) -> None:
    file = written(tmp_path, ("            columns:  #", "            colums:  #"))
    error = refused(file, "online-retail")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "colums:" in text)
    assert error.what.startswith(f"{file}:{line}: `online-retail.ports.source.tables.orders.colums` is no setting")
    assert "did you mean 'columns'" in error.expected


@pytest.mark.parametrize(
    ("lake", "says"),
    [
        ("pth: x", "ports.lake.pth` is no setting"),
        ("limit: {mst: 1}", "ports.lake.limit.mst` is no setting"),
        ("limits: [{most: 1}, {mst: 1}]", "ports.lake.limits.1.mst` is no setting"),
        ("named: {a: {mst: 1}}", "ports.lake.named.a.mst` is no setting"),
        ("password: x", "ports.lake.password` is no setting"),
        ("flag: yes", "ports.lake.flag` is 'yes'"),
        ("flag: 1", "ports.lake.flag` is 1"),
        ("count: 3.7", "ports.lake.count` is 3.7"),
        ("limit: {most: true}", "ports.lake.limit.most` is True"),
        ("headers: {a: 1}", "ports.lake.headers.a` is 1"),
        ("limits: {most: 1}", "ports.lake.limits` is a mapping"),
        ("headers: {a: {env: ''}}", "{env: }"),
    ],
)
def test_an_adapter_that_forbids_nothing_is_checked_all_the_same(tmp_path: Path, lake: str, says: str) -> None:
    assert says in refused(with_lake(tmp_path, lake)).what


def test_what_yaml_means_reaches_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOW_MANY", "5")
    lake = 'count: "${HOW_MANY}", flag: "${ON:-true}", share: 1, path: "${HOW_MANY}", options: {a: [1, no]}'
    config = read(with_lake(tmp_path, lake)).config("lake").model_dump()
    assert [config[name] for name in ("count", "flag", "share", "path")] == [5, True, 1.0, "5"]
    assert type(config["path"]) is str
    assert config["options"] == {"a": [1, "no"]}


def test_anchors_and_merged_keys_are_yaml_as_ever(tmp_path: Path) -> None:
    anchor = ("profiles:\n", "x-lake: &lake {kind: delta, path: below}\nprofiles:\n")
    file = written(tmp_path, anchor, ('{kind: delta, path: "${home}/lake"}', "{<<: *lake, path: above}"))
    assert read(file).config("lake").model_dump()["path"] == "above"
    endless = written(tmp_path, ("profiles:\n", "x-a: &a {b: *a}\nprofiles:\n"))
    assert "holds itself" in refused(endless).what


def test_a_time_without_quotes_is_the_time_that_stands_there(tmp_path: Path) -> None:
    stack = read(written(tmp_path, ('"02:00"', "12:30")))
    assert stack.calendar.nightly_at.isoformat("minutes") == "12:30"


REFERRING = (
    "pass_word: {env: SECRET}, headers: {auth: {env: SECRET}}, options: {deep: [{token: {env: SECRET}}]}, count: 2"
)


def test_references_at_any_depth_are_looked_up_when_the_adapter_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET", raising=False)
    stack = read(with_lake(tmp_path, REFERRING))
    with pytest.raises(TesseraError, match="'SECRET' is not set"):
        stack.open("lake")
    monkeypatch.setenv("SECRET", SECRET)
    lake = stack.open("lake").config
    assert (lake.password, lake.headers, lake.options) == (SECRET, {"auth": SECRET}, {"deep": [{"token": SECRET}]})


def test_no_secret_stands_in_definitions_and_a_run_gets_it_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    stack = read(with_lake(tmp_path, REFERRING))
    seen: list[Any] = []

    @dg.op(required_resource_keys={"lake"})
    def look(context: dg.OpExecutionContext) -> None:
        seen.append(context.resources.lake.open().config)

    @dg.job(resource_defs=stack_resources(stack))
    def looking() -> None:
        look()

    with dg.DagsterInstance.ephemeral() as instance:
        result = looking.execute_in_process(instance=instance)
        stored = str(instance.all_logs(result.run_id)) + str(instance.get_run_by_id(result.run_id))
    assert (seen[0].password, seen[0].headers) == (SECRET, {"auth": SECRET})
    assert seen[0].options == {"deep": [{"token": SECRET}]}
    snapshot = looking.get_job_snapshot()
    for text in (repr(stack.config("lake")), str(snapshot), dg.serialize_value(snapshot), stored):
        assert SECRET not in text


@pytest.mark.parametrize("setting", ["pass_word: {env: SECRET}, count: x", 'pass_word: "${SECRET}", count: x'])
def test_a_complaint_never_holds_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    assert SECRET not in str(refused(with_lake(tmp_path, setting)))
    assert SECRET not in str(refused(with_lake(tmp_path, 'count: "${SECRET}"')))
    hook = written(tmp_path, ('{kind: log, path: "${home}/notices.jsonl"}', "{kind: webhook, url: {env: SECRET}}"))
    with pytest.raises(TesseraError) as raised:
        read(hook).open("notifier")
    assert SECRET not in str(raised.value)
    assert "5310" not in str(refused(with_lake(tmp_path, "pass_word: 5310")))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TESSERA_PROFILE", "", "TESSERA_PROFILE is set to nothing"),
        ("TESSERA_HOME", " ", "TESSERA_HOME is set to nothing"),
        ("TESSERA_HOME", "~nobody-here/x", "TESSERA_HOME is '~nobody-here/x'"),
        ("TESSERA_STACK", "/no/such.yaml", "/no/such.yaml cannot be read: No such file"),
        ("TESSERA_STACK", "/", "/ cannot be read: Is a directory"),
    ],
)
def test_a_wrong_variable_is_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    monkeypatch.setenv(name, value)
    active_stack.cache_clear()
    with pytest.raises(TesseraError, match=says):
        active_stack()


def test_a_stack_elsewhere_is_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    file = written(tmp_path / "conf")
    monkeypatch.delenv("TESSERA_HOME", raising=False)
    monkeypatch.delenv("TESSERA_PROFILE", raising=False)
    monkeypatch.setenv("TESSERA_STACK", "conf/stack.yaml")
    monkeypatch.chdir(tmp_path)
    active_stack.cache_clear()
    try:
        assert active_stack().home == tmp_path / "conf" / "var"
        monkeypatch.chdir("/")  # as `tessera dev` starts Dagster in the project's folder
        active_stack.cache_clear()
        assert active_stack().home == tmp_path / "conf" / "var"
        assert os.environ["TESSERA_STACK"] == str(file)
        monkeypatch.setenv("TESSERA_HOME", "~/there")
        active_stack.cache_clear()
        assert active_stack().home == Path("~/there").expanduser()
    finally:
        active_stack.cache_clear()


DOCUMENT = yaml.load(SHIPPED, Loader=yaml.BaseLoader)  # noqa: S506 - text only
TYPED = yaml.safe_load(SHIPPED)
EXPECTED = load_stack(ROOT / "stack.yaml", "local", "/h", {})


def leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place, *(one for key, item in items for one in leaves(item, (*place, key)))] if place else [
        one for key, item in items for one in leaves(item, (key,))
    ]  # fmt: skip


PLACES = [place for place in leaves(TYPED) if place[:2] == ("profiles", "local") or len(place) == 1]
OTHER = [
    None,
    True,
    7,
    -1,
    0.5,
    "text",
    "",
    [],
    ["a"],
    {},
    {"a": 1},
    {"env": "X"},
    "1" * 5000,
    "\x00",
    [[]],
    float("nan"),
]


def summary(stack: Stack) -> Any:
    return stack.calendar, stack.settings, str(stack.home), {port: repr(stack.config(port)) for port in ADAPTERS}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(place=("profiles", "local", "ports", "lake", "path"), cut=1, other=None)
@example(place=("profiles", "local", "ports", "notifier", "path"), cut=None, other={"env": "X"})
@given(
    place=st.sampled_from(PLACES),
    cut=st.none() | st.integers(0, 20),
    other=st.sampled_from(OTHER) | st.text(max_size=4) | st.integers(),
)
@pytest.mark.slow
def test_a_changed_file_is_refused_or_means_the_same_or_what_it_says(
    tmp_path: Path, place: tuple[Any, ...], cut: int | None, other: Any
) -> None:
    """`cut`: a letter less in the key; else another value."""
    document = copy.deepcopy(TYPED)
    around = document
    for part in place[:-1]:
        around = around[part]
    key, old = place[-1], around[place[-1]]
    cut = cut if isinstance(key, str) else None  # an entry of a list has no key
    if cut is not None:
        del around[key]
        around[key[: cut % len(key)] + "_" + key[cut % len(key) :]] = old
    else:
        around[key] = other
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True))
    stack = outcome(file)
    if isinstance(stack, TesseraError):
        assert str(file) in stack.what or "zero bytes" in stack.expected
        assert stack.expected
        assert stack.todo
        return
    assert place != ("profiles", "local")
    if cut is not None or type(other) is not type(old):
        same = summary(stack) == summary(EXPECTED)
        # A number where one is asked for, nothing where nothing is meant, or text in a free mapping is what it says.
        assert same or (cut is None and says(stack, place, other)), (place, other)


def outcome(file: Path) -> Stack | TesseraError:
    try:
        return load_stack(file, "local", "/h", {})
    except TesseraError as error:
        return error


def says(stack: Stack, place: tuple[Any, ...], other: Any) -> bool:
    """Whether the stack holds the other value at that place."""
    part, *inner = place[2:]
    if part == "ports":
        value: Any = stack.config(inner.pop(0)).model_dump()
    else:
        value = getattr(stack, part).model_dump() if part != "home" else str(stack.home)
    for name in inner:
        value = value[name]
    return (
        isinstance(other, dict)  # first: a reference to a secret refuses to be compared as text
        or value == other
        or repr(value) == repr(other)
        or str(value) == str(other)
    )


LAKE = 'lake: {kind: delta, path: "${home}/lake"}'


@pytest.mark.parametrize(
    ("new", "says"),
    [
        ('lake: {kind: delta, path: "${home/lake"}', r"'\$\{home/lake' begins a variable"),
        ('lake: {kind: delta, path: "${}/lake"}', r"'\$\{\}/lake' begins a variable"),
        ("lake: {kind: delta, path: !!binary aGk=}", "has the tag 'tag:yaml.org,2002:binary'"),
        ("lake: !!python/object/apply:os.getcwd []", "has the tag"),
        ('lake: {kind: delta, path: "a\\0b"}', "holds a zero byte"),
        ('lake: {kind: delta, path: "\\uD800x"}', "holds a zero byte or half a character"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused_with_its_line(new: str, says: str, tmp_path: Path) -> None:
    file = written(tmp_path, (LAKE, new))
    number = 1 + SHIPPED[: SHIPPED.index(LAKE)].count("\n")
    with pytest.raises(TesseraError, match=rf"stack.yaml:{number}:? {says}"):
        load_stack(file, None, str(tmp_path / "home"), {})


def test_aliases_of_aliases_do_not_go_on_for_ever(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file = tmp_path / "stack.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(TesseraError, match="more than 100,000 values"):
        load_stack(file, None, str(tmp_path / "home"), {})
