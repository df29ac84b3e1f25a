"""The embedded exchange: a market on this machine that speaks the data service's wire."""

from mdkit.exchange.checks import configure
from mdkit.exchange.config import (
    DEFAULT_SYMBOLS,
    FREE_TRIAL,
    VENUES,
    ExchangeConfig,
    Fault,
    PlanLimits,
)
from mdkit.exchange.exchange import Exchange, serve_forever
from mdkit.exchange.faults.faults import FAULTS, RECOVERABLE, faults_of, random_faults
from mdkit.exchange.faults.venue_faults import VENUE_FAULTS
from mdkit.exchange.market.scenarios import SCENARIOS
from mdkit.exchange.simulated import Simulated

__all__ = [
    "DEFAULT_SYMBOLS",
    "FAULTS",
    "FREE_TRIAL",
    "RECOVERABLE",
    "SCENARIOS",
    "VENUES",
    "VENUE_FAULTS",
    "Exchange",
    "ExchangeConfig",
    "Fault",
    "PlanLimits",
    "Simulated",
    "configure",
    "faults_of",
    "random_faults",
    "serve_forever",
]
