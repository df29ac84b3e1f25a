"""What sweeps and walks are given, over bars as over books, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from mdkit.backtesting.account.terms import Terms, check_rates
from mdkit.backtesting.engine import Engine
from mdkit.errors import SettingsError


def trading_terms(
    terms: Mapping[str, Any], engine: Any, periods_per_year: Any, risk_free: Any, what: str
) -> Terms:
    """Return the terms that an account trades on; raise `SettingsError` for what cannot work.

    `what` is the function that was called with them.
    """
    check_rates(periods_per_year, risk_free)
    if engine not in get_args(Engine):
        raise SettingsError(f'engine is {engine!r}; give "auto", "python" or "native"')
    try:
        agreed = Terms(**terms)
    except TypeError as error:
        raise SettingsError(f"{what}: {error}".replace("Terms.__init__() ", "")) from None
    if not agreed.trade:
        raise SettingsError("trade is False; figures are of what was traded, so leave it out")
    return agreed
