"""`tessera features`: which application's features are meant, and of what."""

from pathlib import Path

from assets.apps import app_named
from models.errors import TesseraError
from pipelines.cli.arguments import known_span
from resources.stack.loader import active_stack


def features(app: str, entities: Path | None, first: str | None, last: str | None, file: Path, *, online: bool) -> None:
    """Write the features that were asked for to `file`.

    Raises:
        TesseraError: unknown application, options that are not its own, or what the application's part raises.
    """
    chosen = app_named(app)
    if chosen.service is None:
        from pipelines.cli import payment_features

        if entities is not None or online or first is None or last is None:
            raise _other_options(app, "--from DAY --to DAY --out FILE")
        payment_features.features(*known_span(first, last, active_stack()), file)
        return
    from pipelines.cli import training_rows as joining

    if entities is None or first is not None or last is not None:
        raise _other_options(app, "--entities FILE --out FILE, and --online if you like")
    if online:
        joining.served(chosen.service, entities, file)
    else:
        joining.features(chosen, chosen.service, entities, file)


def _other_options(app: str, options: str) -> TesseraError:
    return TesseraError(
        f"Features of {app} are not asked for like this.",
        expected=options,
        todo="See `tessera features --help`.",
    )
