"""The applications of the project. A new one is added here, and its settings in `models/settings.py`."""

from collections.abc import Iterable

from assets.churn.app import CHURN
from assets.demand.app import DEMAND
from assets.fraud.app import FRAUD
from assets.personalization.app import PERSONALIZATION
from assets.stages.app import App
from assets.support.app import SUPPORT
from models.errors import TesseraError, choose_from

APPS: tuple[App, ...] = (CHURN, FRAUD, DEMAND, SUPPORT, PERSONALIZATION)


def app_named(name: str, apps: Iterable[App] = APPS, *, that: str = "") -> App:
    """Return the application of that name.

    Args:
        name: as a user typed it.
        apps: the applications that are possible here.
        that: ability they have in common, for the message, e.g. ` that publishes scores`.

    Raises:
        TesseraError: it is none of them.
    """
    known = {app.name: app for app in apps}
    if name not in known:
        raise TesseraError(
            f"There is no application {name!r}{that}.", expected=choose_from(name, known), todo="Correct the name."
        )
    return known[name]


def app_of_job(job: str) -> str:
    """Return the name of the application that a job works for, e.g. `demand` for `demand_nightly`; empty for none."""
    names = (app.name for app in APPS if job.startswith(f"{app.name}_"))
    return max(names, key=len, default="")
