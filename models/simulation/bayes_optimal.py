"""Bayes-optimal churn scores of the simulated shop: the exact posterior, given everything observed so far."""

# pyright: basic
# pyarrow ships no types.

from datetime import date

import numpy as np
import pyarrow as pa

from models.simulation import customer_behaviour as behaviour
from models.simulation.history import History, seen_at
from models.simulation.random_streams import Floats, Integers

_CUSTOMERS_AT_ONCE = 500


def best_reachable(
    orders: pa.Table,
    customers: pa.Table,
    *,
    first_day: date,
    cutoff_day: date,
    active_days: int = 180,
    horizon_days: int = 90,
) -> tuple[list[str], Floats]:
    """Return the probability of no purchase in the `horizon_days` after `cutoff_day`, for active customers.

    Bayes' rule with the shop's own laws, summed over all purchase rates, habits and days of leaving: no score
    computed from the same rows ranks better in expectation, so its AUC is the best reachable one.

    Args:
        orders: contract columns of all clean order lines since `first_day`; those after `cutoff_day` are ignored.
        customers: contract columns of (at least) the customers in question.
        first_day: the day the shop's records begin.
        cutoff_day: the last day seen (UTC), taken as over.
        active_days: who bought in this many days up to the cut-off is in question.
        horizon_days: how far to look ahead.

    Returns:
        Customer ids in ascending order, and the chance of each (0..1).

    Raises:
        ValueError: a customer in question is not among `customers`.
    """
    ids, history = seen_at(orders, customers, cutoff_day, active_days)
    if not ids:
        return [], np.empty(0)
    grid = _Grid(history, first_day.toordinal(), cutoff_day.toordinal(), horizon_days)
    starts = range(0, len(ids), _CUSTOMERS_AT_ONCE)
    return ids, np.concatenate([grid.chance(history.part(start, start + _CUSTOMERS_AT_ONCE)) for start in starts])


class _Grid:
    """All days on which a customer may be gone, and the demand that each leaves before and after the cut-off.

    Axes, in this order where they occur: rate, habit, customer, gone (the day of leaving), day.
    """

    def __init__(self, history: History, first: int, cutoff: int, horizon_days: int) -> None:
        self._first, self._cutoff = first, cutoff
        # Leaving later than the last place shows neither before the cut-off nor within the horizon.
        last_place = cutoff + horizon_days + behaviour.FADE_DAYS
        self._gone: Integers = np.arange(int(history.last_bought().min()) + 1, last_place + 1)
        days = np.arange(first, cutoff + horizon_days + 1)
        left = self._gone[:, None] - days
        factor = np.where(left > 0, behaviour.fade(left), 0.0)
        demand = np.cumsum(behaviour.demand(days)[:, None, :] * factor, axis=2)
        self._before_day: Floats = np.concatenate([np.zeros((2, len(self._gone), 1)), demand], axis=2)

    def chance(self, history: History) -> Floats:
        """Return the chance of each customer to buy nothing within the horizon."""
        end = self._cutoff + 1 - self._first
        ahead = self._before_day[:, :, -1] - self._before_day[:, :, end]
        begin = np.minimum(np.maximum(history.joined + 1, self._first) - self._first, end)
        past = (self._before_day[:, :, [end]] - self._before_day[:, :, begin]).transpose(0, 2, 1)
        log_posterior = self._log_posterior(history, past)
        weight = np.exp(log_posterior - log_posterior.max(axis=(0, 1, 3), keepdims=True))
        nothing = np.exp(-behaviour.RATES[:, None, None] * ahead)
        return np.einsum("rhcg,rhg->c", weight, nothing) / weight.sum(axis=(0, 1, 3))

    def _log_posterior(self, history: History, past: Floats) -> Floats:
        """Log of the posterior, up to a constant of each customer: shape (rate, habit, customer, gone)."""
        hazard = behaviour.hazard_per_day()[history.country].T
        lifetime = self._gone - history.joined[:, None]
        log_gone = behaviour.log_lifetime_share(lifetime, hazard[..., None])
        log_gone[..., -1] = behaviour.log_lifetime_at_least(lifetime[:, -1], hazard)
        log_gone = np.where(lifetime + history.joined[:, None] > history.last_bought()[:, None], log_gone, -np.inf)
        by_chance = (history.day > history.joined[history.whose]).astype(np.int64)
        log_habit = np.log(behaviour.HABIT_SHARE)[:, None] + np.stack(
            [_sum_by(history, by_chance * demand) for demand in np.log(behaviour.demand(history.day))]
        )
        log_rate = np.log(behaviour.RATE_SHARE)[:, None] + np.log(behaviour.RATES)[:, None] * _sum_by(
            history, by_chance
        )
        shared = log_gone + log_habit[..., None] + self._log_fading(history, by_chance)
        return shared + log_rate[:, None, :, None] - behaviour.RATES[:, None, None, None] * past

    def _log_fading(self, history: History, by_chance: Integers) -> Floats:
        """Log of how much likelier each day of leaving makes the orders shortly before it: (customer, gone)."""
        total = np.zeros(len(history.joined) * len(self._gone))
        shrunk = np.log(behaviour.LINES_SHARE[1] / behaviour.LINES_SHARE[0])[history.lines - 1]
        evidence = shrunk + self._log_return_ratio(history)
        for left in range(1, behaviour.FADE_DAYS):
            place = history.day + left - self._gone[0]
            inside = (place >= 0) & (place < len(self._gone))
            value = evidence + by_chance * np.log(behaviour.fade(np.array([left])))
            where = history.whose * len(self._gone) + place
            total += np.bincount(where[inside], value[inside], minlength=len(total))
        return total.reshape(len(history.joined), len(self._gone))

    def _log_return_ratio(self, history: History) -> Floats:
        """Log of how much likelier a fading customer's order is returned, or not yet returned, as it was seen."""
        delays = np.array(behaviour.RETURN_DELAYS_DAYS)
        due = np.mean(delays <= (self._cutoff - history.day)[:, None], axis=1)
        usual, fading = behaviour.RETURN_SHARE
        return np.where(history.returned, np.log(fading / usual), np.log((1 - fading * due) / (1 - usual * due)))


def _sum_by(history: History, values: Floats | Integers) -> Floats:
    return np.bincount(history.whose, values, minlength=len(history.joined)).astype(np.float64)
