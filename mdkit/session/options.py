"""What a session is asked to be: one frozen object that has been checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mdkit.errors import SettingsError
from mdkit.exchange import Exchange
from mdkit.exchange.simulated import Simulated
from mdkit.frames import Frames
from mdkit.history.intervals import KLINE_INTERVALS, check_interval
from mdkit.machine import cores, in_browser
from mdkit.pipeline.options import PipelineOptions, WorkerKind
from mdkit.queue.policies import Overflow, check_bounds, check_overflow
from mdkit.recording.recorder.recorder import Recorder
from mdkit.session.arguments import (
    check_policies_channels,
    checked_channel,
    checked_count,
    checked_strategies,
    checked_symbols,
    with_called_for,
)
from mdkit.settings import Settings
from mdkit.sources.source import Source
from mdkit.strategies.contract import Strategy
from mdkit.venues.routes import CHANNELS
from mdkit.venues.venue import Venue
from mdkit.workers.lanes import OnError

Runner = Literal["notebook", "thread"]


@dataclass(frozen=True, eq=False, slots=True)
class SessionOptions:
    """The arguments of `live`, checked, and what follows from them.

    `dataclasses.replace` makes another and checks that one as well; it can be pickled when its
    source and strategies can. Its repr shows no API key. Raises `SettingsError` when a value
    cannot work; a line on stdout says when a channel was added for a strategy.

    Attributes:
        subscribed_symbols: `symbols` without repetitions; none means those of the settings, or
            what the source carries.
        subscribed_channels: `channels`, and those added for bars and for strategies.
        ready: `strategies`, ready to be run.

    The others are described at `live`.
    """

    symbols: Sequence[str] | str | None = None
    channels: Sequence[str] | str | None = None
    source: str | Source | Exchange | Simulated | Venue | None = None
    api_key: str | None = field(default=None, repr=False)
    strategies: Sequence[Any] = ()
    workers: int | None = None
    worker_kind: WorkerKind = "task"
    maxsize: int | None = None
    overflow: Overflow | Mapping[str, Overflow] = "block"
    block_timeout: float | None = None
    max_retries: int = 3
    on_error: OnError = "dead_letter"
    runner: Runner = "notebook"
    bars: str | None = None
    warmup: int = 0
    backfill: bool = True
    record: str | Path | Recorder | None = None
    rows: int | None = None
    levels: int = 10
    allow_nonpositive: bool = False
    name: str = "default"
    settings: Settings = field(default_factory=Settings)

    subscribed_symbols: tuple[str, ...] = field(init=False, repr=False)
    subscribed_channels: tuple[str, ...] = field(init=False, repr=False)
    ready: tuple[Strategy, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        symbols = checked_symbols(() if self.symbols is None else self.symbols)
        if self.symbols is not None and not symbols:
            raise SettingsError(
                'symbols is empty: name at least one, such as "AAPL.US", or leave it out for '
                "SUBSCRIBED_SYMBOLS, or what the source carries."
            )
        channels = self._checked_channels()
        self._check_choices()
        if self.workers is not None:
            meaning = "at least 1 must serve the queue"
            self._settle("workers", checked_count("workers", self.workers, 1, meaning))
        retries = checked_count("max_retries", self.max_retries, 0, "0 never tries again")
        self._settle("max_retries", retries)
        check_overflow(self.overflow)
        check_policies_channels(self.overflow)
        if not isinstance(self.overflow, str):
            self._settle("overflow", dict(self.overflow))  # nobody changes what was checked
        ready = tuple(checked_strategies(self.strategies))
        self._check_bars()
        if self.bars is not None and not {"trade", "ticker"} & set(channels):
            channels = (*channels, "trade")
        if self.source is None or isinstance(self.source, str | Exchange | Simulated | Venue):
            channels = with_called_for(ready, channels, self.bars, may_add=self.channels is None)
        else:  # it brings what it brings
            with_called_for(ready, CHANNELS, self.bars)
        self._settle("subscribed_symbols", symbols)
        self._settle("subscribed_channels", channels)
        self._settle("ready", ready)
        pipeline = self.pipeline
        check_bounds(pipeline.maxsize, pipeline.block_timeout)
        Frames(self.rows, self.levels)  # which refuses what cannot be

    def _settle(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _checked_channels(self) -> tuple[str, ...]:
        if self.channels is None:
            return ("depth",)
        chosen = (self.channels,) if isinstance(self.channels, str) else tuple(self.channels)
        for channel in chosen:
            checked_channel(channel)
        if not chosen:
            raise SettingsError(f"channels is empty: choose from {', '.join(CHANNELS)}.")
        return chosen

    def _check_choices(self) -> None:
        """Raise `SettingsError` for a word that is none of those to choose from."""
        if self.runner not in ("notebook", "thread"):
            raise SettingsError(
                f'runner={self.runner!r} does not exist: choose "notebook" or "thread".'
            )
        if self.on_error not in ("dead_letter", "raise"):
            raise SettingsError(f'on_error={self.on_error!r} is not "dead_letter" or "raise".')
        asked: dict[str, Any] = {"workers": self.workers, "worker_kind": self.worker_kind}
        for name, given in asked.items():
            if given == "auto":
                raise SettingsError(
                    f'{name}="auto" does not exist any more: leave it out, and once messages come '
                    'session.diagnose().advice says whether worker_kind="process" would help.'
                )
        if self.worker_kind not in ("task", "process"):
            raise SettingsError(
                f'worker_kind={self.worker_kind!r} does not exist: "task" or "process".'
            )
        if self.worker_kind == "process" and in_browser():
            raise SettingsError(
                'worker_kind="process" cannot be had in a browser, where Python has no processes: '
                "leave it out."
            )

    def _check_bars(self) -> None:
        """Raise `SettingsError` for an unknown interval, and for a warmup that cannot be had."""
        bars, warmup = self.bars, self.warmup
        if bars is not None:
            check_interval(bars)
        elif warmup:
            raise SettingsError(f'warmup={warmup} needs bars of some interval, such as bars="1m".')
        if type(warmup) is not int or warmup < 0:
            raise SettingsError(f"warmup={warmup!r} is not a number of bars.")
        if warmup and bars not in KLINE_INTERVALS:
            raise SettingsError(
                f"warmup={warmup} cannot be had for bars={bars!r}: the service keeps history for "
                f"{', '.join(KLINE_INTERVALS)}."
            )

    @property
    def pipeline(self) -> PipelineOptions:
        """What a pipeline in this process is asked to be: what was left out is settled here."""
        settings = self.settings
        default_workers = cores() if self.worker_kind == "process" else settings.worker_count
        timeout = self.block_timeout
        return PipelineOptions(
            workers=default_workers if self.workers is None else self.workers,
            worker_kind=self.worker_kind,
            maxsize=settings.max_queue_depth if self.maxsize is None else self.maxsize,
            overflow=self.overflow,
            block_timeout=settings.heartbeat_interval if timeout is None else timeout,
            spill_quota_bytes=settings.spill_quota_bytes,
            max_retries=self.max_retries,
            on_error=self.on_error,
            frame_rows=self.rows,
            levels=self.levels,
            interval=self.bars,
            made_of="trade" if "trade" in self.subscribed_channels else "ticker",
            warmup=self.warmup,
            allow_nonpositive=self.allow_nonpositive,
        )
