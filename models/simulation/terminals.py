"""Payment terminals: their locations, and the terminals that a card's owner visits."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.simulation.random_streams import Floats, Integers, Purpose, uniform

#: How far a terminal may lie from where the owner of the card lives; there is one terminal per square unit.
REACH = 5.0
#: Chance that a terminal falls into wrong hands on a day, and how many days it stays there, the first included.
SKIMMED_PER_DAY = 2 / 10_000
SKIMMED_DAYS = 28


@dataclass(frozen=True)
class Reach:
    """Terminals of several places: those of place `i` are `terminal[start[i]:start[i + 1]]`."""

    start: Integers
    terminal: Integers

    def chosen(self, place: Integers, chance: Floats) -> Integers:
        """Return the terminal at quantile `chance` of each place's terminals, each equally likely.

        -1 where there is none.
        """
        count = self.start[place + 1] - self.start[place]
        which = self.start[place] + (chance * count).astype(np.int64)
        return np.where(count > 0, np.append(self.terminal, -1)[which], -1)


@dataclass(frozen=True)
class Terminals:
    """Terminals numbered from 0 on a square of `side` units; all about one is drawn from its number alone."""

    seed: int
    number: int

    @property
    def side(self) -> float:
        """Length of the square's side."""
        return float(np.sqrt(self.number))

    def skimmed(self, day: int) -> NDArray[np.bool_]:
        """Mark the terminals that are compromised on `day`: all payments there are fraud."""
        begins = np.arange(day - SKIMMED_DAYS + 1, day + 1)
        return (
            uniform(self.seed, Purpose.SKIMMED, np.arange(self.number)[:, None], begins).min(axis=1) < SKIMMED_PER_DAY
        )

    def in_reach(self, x: Floats, y: Floats) -> Reach:
        """Return the terminals at most `REACH` away from each place."""
        place, candidate = self._near(x, y)
        far = np.hypot(self._x[candidate] - x[place], self._y[candidate] - y[place]) > REACH
        start = np.cumsum(np.append(0, np.bincount(place[~far], minlength=len(x))))
        return Reach(start, candidate[~far])

    def _near(self, x: Floats, y: Floats) -> tuple[Integers, Integers]:
        """Pairs of a place (ascending) and a terminal of the nine cells around it."""
        # The three cells of a row lie one behind the other: three runs of terminals for each place.
        rows = self._cell(x, y)[:, None] + self._width * np.array([-1, 0, 1])
        first, end = self._cells_start[rows - 1].ravel(), self._cells_start[rows + 2].ravel()
        run = np.repeat(np.arange(len(first)), end - first)
        nth = np.arange(len(run)) - np.searchsorted(run, run)
        return run // 3, self._by_cell[first[run] + nth]

    def _cell(self, x: Floats, y: Floats) -> Integers:
        """Cells of `REACH` units, row after row, with an empty one at every edge."""
        return (y // REACH + 1).astype(np.int64) * self._width + (x // REACH + 1).astype(np.int64)

    @property
    def _width(self) -> int:
        return int(self.side // REACH) + 3

    @cached_property
    def _x(self) -> Floats:
        return self.side * uniform(self.seed, Purpose.TERMINAL_X, np.arange(self.number))

    @cached_property
    def _y(self) -> Floats:
        return self.side * uniform(self.seed, Purpose.TERMINAL_Y, np.arange(self.number))

    @cached_property
    def _by_cell(self) -> Integers:
        return np.argsort(self._cell(self._x, self._y), kind="stable")

    @cached_property
    def _cells_start(self) -> Integers:
        cells = self._cell(self._x, self._y)[self._by_cell]
        return np.searchsorted(cells, np.arange(self._width**2 + 1))
