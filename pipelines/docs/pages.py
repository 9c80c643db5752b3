"""Pages of `docs/` written from the code: `python -m pipelines.docs`; `--check` fails if one is out of date."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from models.settings import Settings
from pipelines.docs.adapters import adapters_page
from pipelines.docs.feast_stores import feast_stores_page
from pipelines.docs.features import features_page
from pipelines.docs.metrics import metrics_page
from resources.stack.adapters import adapter_class, kinds_of
from resources.stack.loader import ROOT, Calendar
from resources.stack.table import KINDS, PORTS

_NOTE = "<!-- Written by `make docs` from the code; `make check` fails when it is out of date. -->\n\n"


def pages() -> Mapping[str, str]:
    """File name in `docs/` -> its text."""
    return {
        "stack.md": _stack(),
        "adapters.md": adapters_page(),
        "assets.md": _assets(),
        "features.md": features_page(),
        "feast_stores.md": feast_stores_page(),
        "metrics.md": metrics_page(),
    }


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` report which ones are out of date (exit code 1)."""
    made = pages()
    stale = [name for name, text in made.items() if _old(ROOT / "docs" / name) != _NOTE + text]
    if "--check" in arguments:
        for name in stale:
            sys.stdout.write(f"docs/{name} is out of date: run `make docs`\n")
        return 1 if stale else 0
    for name in stale:
        (ROOT / "docs" / name).write_text(_NOTE + made[name])
        sys.stdout.write(f"docs/{name} written\n")
    return 0


def _old(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _stack() -> str:
    lines = [
        "# stack.yaml: every part and every setting",
        "",
        "A profile names the applications that it runs (`apps`, default: all) and an adapter (`kind`) for each port",
        "whose default it changes. `extends` takes over another profile: a port is",
        "replaced whole, settings are merged. `${home}`, `${root}`, `${NAME}` and `${NAME:-default}` are filled in",
        "when the file is read; `{env: NAME}` stays a reference, at any depth (use it for secrets). Any dotted",
        "path to a config class is a `kind` too.",
        "",
        "Everything is checked when the file is read: an unknown key at any depth, a duplicate key, or a",
        "value of another type is refused with file and line. That holds for adapters of third parties, too,",
        'unless their class says `extra="allow"`. Scalars are those of YAML 1.2: only `true` and `false` are',
        'booleans, `017` is text. Filled-in text (`"${THREADS:-2}"`) becomes a number where a number is asked',
        "for. Keys that begin with `x-` beside `profiles` are free, for anchors.",
        "",
        "`TESSERA_PROFILE` chooses the profile, `TESSERA_HOME` its data's place, `TESSERA_STACK` another file",
        "(relative to the working directory). A relative home, also that of `TESSERA_HOME`, starts from the",
        "folder of the stack file; so does `${root}`. Paths of ports should begin with `${home}`, `${root}` or",
        "`/`: others depend on where a command runs.",
        "",
        "`dagster_storage` is where Dagster keeps its own records (runs, schedules), as `storage` of a",
        "dagster.yaml; left out, it is SQLite in the home. For many runs at once, or several machines, Postgres",
        "(requirements/postgres.lock):",
        "",
        "```yaml",
        "dagster_storage:",
        "  postgres:",
        "    postgres_db: {hostname: db, db_name: dagster, username: tessera, password: {env: DAGSTER_PASSWORD}}",
        "```",
        "",
        "A home is for its user alone: folders 0700, files 0600.",
        "",
        "## calendar",
        "",
        *_fields(Calendar.model_fields),
        "",
        "## ports",
    ]
    for port in KINDS:
        if port in PORTS:
            left_out = yaml.safe_dump(dict(PORTS[port].default), default_flow_style=True, sort_keys=False).strip()
            lines += ["", f"### {port}", "", f"Left out of a profile, it is `{left_out}`."]
        for kind in kinds_of(port):
            config = adapter_class(port, kind)
            place = f"candidates: [{{kind: {kind}}}]" if port == "trainer" else f"{port}: {{kind: {kind}}}"
            lines += ["", f"#### `{place}`", "", _first(config.__doc__), ""]
            fields = {name: field for name, field in config.model_fields.items() if name != "kind"}
            lines += _fields(fields, PORTS[port].in_home(kind) if port in PORTS else {})
            for name, inner in _inner_models(config):
                lines += ["", f"{name}: {_first(inner.__doc__)}", "", *_fields(inner.model_fields)]
    lines += ["", "## settings"]
    for place, model in _models("", Settings):
        plain = {n: f for n, f in model.model_fields.items() if not _is_model(f.annotation)}
        if plain:
            lines += ["", f"#### `{place}`", "", _first(model.__doc__), "", *_fields(plain)]
    return "\n".join(lines) + "\n"


def _models(place: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    if place:
        yield place, model
    for name, field in model.model_fields.items():
        if _is_model(field.annotation):
            yield from _models(f"{place}.{name}".strip("."), field.annotation)  # pyright: ignore[reportArgumentType]
        for one in get_args(field.annotation):
            if _is_model(one) and any(inner.description for inner in one.model_fields.values()):
                named = get_origin(field.annotation) is Mapping
                yield from _models(f"{place}.{name}.NAME" if named else f"{place}.{name}: [{{...}}]", one)


def _inner_models(config: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield settings of a config that are a block, and those that hold one for each name, e.g. `tables`."""
    for name, field in config.model_fields.items():
        if _is_model(field.annotation):
            yield f"`{name}`", field.annotation  # pyright: ignore[reportReturnType]
        for argument in get_args(field.annotation):
            if _is_model(argument):
                yield f"Each of `{name}`", argument


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(fields: Mapping[str, FieldInfo], places: Mapping[str, str] | None = None) -> list[str]:
    """Return a table of settings; `places` are defaults that a profile gives in place of the class's own."""
    if not fields:
        return ["No settings."]
    rows = ["| setting | type | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        kind = _type_name(field.annotation)
        default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)}`"
        if places and name in places:
            default = f"`{places[name]}`"
        if _is_model(field.annotation):
            kind, default = "block", "below"
        rows.append(f"| `{name}` | {kind.replace('|', 'or')} | {default} | {field.description or ''} |")
    return rows


def _type_name(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not get_args(annotation)
    return annotation.__name__ if plain else re.sub(r"[\w.]+\.(\w+)", r"\1", str(annotation))


def _assets() -> str:
    from pipelines.definitions import defs

    graph = defs.resolve_asset_graph()
    lines = ["# Assets", "", "Top to bottom as they depend on each other.", ""]
    lines += ["| asset | group | reads | checks | |", "|---|---|---|---|---|"]
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        reads = ", ".join(f"`{parent.to_user_string()}`" for parent in sorted(node.parent_keys))
        checks = ", ".join(f"`{check.name}`" for check in sorted(node.check_keys))
        says = _first(node.description).replace("\n", " ")
        lines.append(f"| `{key.to_user_string()}` | {node.group_name} | {reads} | {checks} | {says} |")
    lines += ["", "## Jobs", "", "| job | schedule | |", "|---|---|---|"]
    when = {schedule.job_name: schedule.cron_schedule for schedule in defs.get_repository_def().schedule_defs}
    for job in sorted(defs.jobs or [], key=lambda job: job.name):
        lines.append(f"| `{job.name}` | {when.get(job.name, '')} | {getattr(job, 'description', '') or ''} |")
    return "\n".join(lines) + "\n"


def _first(text: str | None) -> str:
    return (text or "").strip().split("\n\n")[0].replace("\n", " ")
