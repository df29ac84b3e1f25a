"""Targets over books: how large an order is, with all costs of an instant, and how it is worked.

Written in plain scalar steps, as `market` is; the rules stand in `mdkit.backtesting.books.door`.
"""

from __future__ import annotations

import math
from typing import Any

from mdkit.backtesting.account.book_run import IOC, ORDER_WIDTH
from mdkit.backtesting.books.resting import Resting


class Targets(Resting):
    """Cash, positions and orders, and the targets that symbols are to reach."""

    __slots__ = (
        "goals",
        "left",
        "life",
        "pending",
        "reasons",
        "ruined",
        "shares",
        "target_order",
        "urgent",
        "values",
    )
    goals: Any
    left: Any
    """Contracts of a target's order that are still wanted; with `pending` nan and 0: none."""
    life: int
    pending: Any
    """The target that came due and waits to be sized, nan for none."""
    reasons: Any
    shares: Any
    target_order: Any
    urgent: Any
    """1 where a target's order takes, whatever the fill model."""
    values: Any
    ruined: bool

    def equity(self) -> float:
        """Return cash and positions at their marks."""
        worth = self.cash
        for s in range(len(self.shares)):
            if self.units[s] != 0.0:
                worth += self.units[s] * self.marks[s]
        return worth

    def clear_target(self, s: int) -> None:
        """Forget what a symbol's target still wants."""
        self.pending[s] = math.nan
        self.left[s] = 0.0
        for side in range(2):
            if self.rest_peg[2 * s + side] == 1:
                self.cancel(s, side)
                self.rest_peg[2 * s + side] = 0

    def trade_targets(self, now: int) -> None:
        """Size the targets that came due, together, and fill what waits, as far as it can be."""
        equity = self.equity()
        if equity <= 0.0 and not self.ruined:
            return  # until `settle` closes everything
        sized = False
        for s in range(len(self.shares)):
            self.goals[s] = math.nan
            if self.pending[s] == self.pending[s] and self.is_sizable(s, equity):
                self.goals[s] = self.pending[s] * self.shares[s]
                self.values[s] = self.units[s] * self.marks[s] if self.units[s] != 0.0 else 0.0
                sized = True
        if sized:
            costs = self.costs_together(equity)
            for s in range(len(self.shares)):
                goal = self.goals[s]
                if goal == goal:
                    if goal == 0.0 or costs >= equity:
                        units = -self.units[s]
                    else:
                        units = (goal * (equity - costs) - self.values[s]) / self.marks[s]
                    lots = self.lots_of(s, units)
                    self.pending[s] = math.nan
                    self.left[s] = lots
                    at = self.target_order[s] * ORDER_WIDTH
                    self.orders[at + 2] = lots
                    side = 0 if lots > 0.0 else 1
                    limit = math.inf if side == 0 else -math.inf
                    self.orders[at + 5] = self.shown_within(s, side, limit)
        for s in range(len(self.shares)):
            if self.left[s] != 0.0:
                self.work(now, s)

    def is_sizable(self, s: int, equity: float) -> bool:
        """Whether the side that a target needs is there; and the target, if not 0, a value."""
        target = self.pending[s] * self.shares[s]
        if target == 0.0:
            missing = -self.units[s]
        elif not self.marks[s] > 0.0:
            return False
        else:
            held = self.units[s] * self.marks[s] if self.units[s] != 0.0 else 0.0
            missing = target * equity - held
        if missing == 0.0:
            self.pending[s] = math.nan
            self.orders[self.target_order[s] * ORDER_WIDTH + 2] = 0.0
            return False
        side = 0 if missing > 0.0 else 1
        if self.passive and self.urgent[s] == 0:
            best = self.near(s, side)
            return bool(best == best)
        return self.count(s, side) > 0

    def costs_together(self, equity: float) -> float:
        """Return what the orders of one instant cost together, in money.

        As `fills.costs_together`, but with costs that rise level by level: still convex in what
        they leave, and made of straight pieces, so that Newton's method arrives.
        """
        costs = 0.0
        for _ in range(64):
            over = 0.0
            slope = 1.0
            for s in range(len(self.shares)):
                goal = self.goals[s]
                if goal == goal:
                    if goal == 0.0:
                        units = -self.units[s]
                    else:
                        units = (goal * (equity - costs) - self.values[s]) / self.marks[s]
                    self.price_units(s, units)
                    over += self.cost
                    if goal != 0.0:
                        rise = self.rate * goal / self.marks[s]
                        slope += rise if units > 0.0 else -rise
            if over >= equity and costs == 0.0 and slope <= 1e-12:
                return equity
            if slope == 0.0:  # each unit more costs all that it is worth
                return equity
            found = costs + (over - costs) / slope
            if found >= equity:
                return equity
            if abs(found - costs) <= 1e-15 * equity:
                break
            costs = found
        return costs

    def work(self, now: int, s: int) -> None:
        """Fill what a target still wants: take it, or wait for it at the near touch."""
        lots = self.left[s]
        order = self.target_order[s]
        side = 0 if lots > 0.0 else 1
        if self.passive and self.urgent[s] == 0:
            best = self.near(s, side)
            if best == best:
                self.left[s] = 0.0
                self.rest(s, side, abs(lots), best, order, 1)
            return
        limit = math.inf if side == 0 else -math.inf
        left = self.take(now, s, lots, limit, self.slippage, order, self.reasons[s])
        gives_up = self.life == IOC and self.urgent[s] == 0
        self.left[s] = 0.0 if gives_up else left
