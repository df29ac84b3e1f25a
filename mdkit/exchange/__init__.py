"""The embedded exchange: a market on this machine that speaks the data service's wire."""

from mdkit.exchange.checks import configure
from mdkit.exchange.config import (
    DEFAULT_SYMBOLS,
    FREE_TRIAL,
    ExchangeConfig,
    Fault,
    PlanLimits,
)
from mdkit.exchange.exchange import Exchange, serve_forever
from mdkit.exchange.faults.faults import FAULTS, RECOVERABLE, random_faults
from mdkit.exchange.market.scenarios import SCENARIOS
from mdkit.exchange.simulated import Simulated

__all__ = [
    "DEFAULT_SYMBOLS",
    "FAULTS",
    "FREE_TRIAL",
    "RECOVERABLE",
    "SCENARIOS",
    "Exchange",
    "ExchangeConfig",
    "Fault",
    "PlanLimits",
    "Simulated",
    "configure",
    "random_faults",
    "serve_forever",
]
