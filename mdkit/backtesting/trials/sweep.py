"""A strategy with many parameters: over one machine's cores, or a Dask cluster's."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.metrics import METRICS
from mdkit.backtesting.account.terms import BacktestWarning, Terms
from mdkit.backtesting.chance.steps import step_returns
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile
from mdkit.backtesting.data.panel import Panel, make_panel
from mdkit.backtesting.engine import Engine, run_engine
from mdkit.backtesting.result import Result
from mdkit.backtesting.runs import Run, Scratch, native_run
from mdkit.backtesting.trials.arguments import trading_terms
from mdkit.backtesting.trials.book_sweep import book_job, sweep_books
from mdkit.backtesting.trials.grid import (
    Evaluate,
    Params,
    Progress,
    Report,
    Search,
    Trials,
    checked_budget,
    column_of,
    combinations_of,
    few_returns,
    in_turn,
    is_count,
    metric_names,
    reporter,
    some_of,
)
from mdkit.errors import SettingsError
from mdkit.machine import cores
from mdkit.processes.process import dumps
from mdkit.strategies.contract import Strategy, as_strategy

_WORTH_PROCESSES = 3_000_000
"""Bars times combinations from which starting Python processes pays."""
_WORTH_COMPILING = 500_000
"""Bars times combinations from which compiling first pays; below, each run decides for itself."""
_own = threading.local()
_shared: list[Job] = []
"""What a worker process was given once, at its start."""


@dataclass(frozen=True)
class Job:
    """What all combinations of a sweep have in common."""

    strategy: Strategy
    panel: Panel
    terms: Terms
    engine: Engine
    metrics: tuple[str, ...]
    periods_per_year: float | None
    risk_free: float

    def evaluate(self, params: Params) -> tuple[Any, ...]:
        """Return the figures of one combination."""
        chosen = self.strategy.with_params(**params)
        run, used, why = run_engine(chosen, self.panel, self.terms, self.engine)
        return self.figures(chosen, run, used, why)

    def evaluate_native(self, code: native.NativeStrategy, params: Params) -> tuple[Any, ...]:
        """Do the same with code that is at hand."""
        chosen = self.strategy.with_params(**params)
        scratch = getattr(_own, "scratch", None)
        if scratch is None:
            scratch = _own.scratch = Scratch()
        try:
            run = native_run(chosen, self.panel, self.terms, code, scratch)
        except CannotCompile:
            return self.evaluate(params)
        return self.figures(chosen, run, "native", "")

    def figures(self, chosen: Strategy, run: Run, used: str, why: str) -> tuple[Any, ...]:
        """Return the figures of a run."""
        result = Result(
            chosen, self.panel, run, self.terms, used, why, self.periods_per_year, self.risk_free
        )
        return tuple(METRICS[name].compute(result.account) for name in self.metrics)


def sweep(
    strategy: Any,
    bars: Any,
    grid: Mapping[str, Iterable[Any]],
    *,
    metric: str | Sequence[str] = "sharpe",
    constraint: Callable[[Params], bool] | None = None,
    client: Any = None,
    progress: Progress = None,
    engine: Engine = "auto",
    workers: int | None = None,
    periods_per_year: float | None = None,
    risk_free: float = 0.0,
    allow_nonpositive: bool = False,
    search: Search = "grid",
    budget: int | None = None,
    seed: int = 0,
    latency_ms: Any = 0.0,
    **terms: Any,
) -> pd.DataFrame:
    """Backtest every combination of parameters; return a row for each, in the grid's order.

    Args:
        strategy, bars: as for `backtest`, events and recordings of books included, which are read
            once; what the grid does not name keeps its value.
        grid: values to try, by parameter.
        metric: which figures to compute, one name or several; see `metrics.METRICS`.
        constraint: called with each combination as a dict; those it returns False for are left
            out, such as `lambda p: p["fast"] < p["slow"]`.
        client: a `dask.distributed.Client`: the combinations run on its workers, to which the
            bars are sent once. A worker that dies costs its unfinished tasks, which run again
            elsewhere.
        progress: True shows a bar; a function is called with (done, all).
        workers: how many at once on this machine; the number of processors unless given.
            Compiled strategies use threads, which numba lets run side by side, others processes.
        search: "grid" tries every combination, "random" `budget` of them, drawn by `seed`, and
            "bayes" `budget` different ones, one after the other, each where a model of those
            before it expects the best first `metric`: optuna's tree-structured Parzen estimator
            (Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011), seeded by `seed`.
            Rows are then in the order of trying. For `deflated` each row is one trial; since a
            search gathers them where the figure is high, they are less independent than a grid's.
        engine, periods_per_year, risk_free, allow_nonpositive, latency_ms, terms: as for
            `backtest`. Over books the combinations run one after the other in this process, and
            `client` and `workers` are refused.

    Returns a DataFrame: a column per parameter of the grid, then one per figure. A parameter that
    has the name of a figure asked for is in the column "<name> (parameter)". `heatmap` draws it.
    Raises `SettingsError` for parameters, figures or terms that there are not, and for "bayes"
    where optuna is not installed; warns with
    `BacktestWarning` when figures of a year are nan because there are too few returns.

    Example:
        >>> md.sweep(md.strategies.pressure, md.sample(), {"levels": [1, 5]}, metric="trades")
           levels  trades
        0       1      82
        1       5      24
    """
    if workers is not None and not is_count(workers):
        raise SettingsError(f"workers is {workers!r}; give a number of 1 or more, or None")
    chosen = as_strategy(strategy)
    if "depth" in chosen.kinds and not chosen.is_async:
        if client is not None or workers is not None:
            raise SettingsError("sweeps over books run in this process: no client, no workers")
        names = metric_names(metric)
        combinations = combinations_of(chosen, grid, constraint)
        trials = _trials_of(combinations, search, budget, seed, names[0], progress)
        runs = len(combinations) if budget is None else min(budget, len(combinations))
        books = book_job(
            chosen, bars, runs, latency_ms, engine, periods_per_year, risk_free,
            allow_nonpositive, terms, "sweep",
        )  # fmt: skip
        return sweep_books(books, trials, list(grid), names)
    if latency_ms:
        raise SettingsError("latency_ms is for books; bars fill at the next open or at the close")
    panel = make_panel(bars, allow_nonpositive=allow_nonpositive)
    job, combinations, report = make_job(
        chosen, panel, grid, metric, constraint, None if search == "bayes" else progress, engine,
        periods_per_year, risk_free, terms, search=(search, budget, seed),
    )  # fmt: skip
    if search == "bayes":
        if client is not None or workers is not None:
            raise SettingsError(
                'search="bayes" tries one after the other, since each rests on those before it: no '
                "client, no workers"
            )
        found = _trials_of(combinations, search, budget, seed, job.metrics[0], progress)
        combinations, figures = found(_evaluator(job, min(budget or 0, len(combinations))))
    elif client is not None:
        figures = _on_dask(job, combinations, client, report)
    else:
        figures = evaluate_all(job, combinations, report, workers)
    frame = pd.DataFrame(combinations, columns=list(grid)).rename(
        columns=lambda name: column_of(name, job.metrics)
    )
    frame.attrs["parameters"] = list(frame.columns)
    for name, column in zip(job.metrics, zip(*figures, strict=True), strict=True):
        frame[name] = list(column)
    if "sharpe" in job.metrics:
        frame.attrs["trials"] = _trials(job, combinations, frame["sharpe"])
    few = few_returns(panel.calendar, job.metrics)
    if few:
        warnings.warn(few, BacktestWarning, stacklevel=2)
    return frame


def _trials_of(
    combinations: list[Params], search: Search, budget: int | None, seed: int, metric: str,
    progress: Progress,
) -> Trials:  # fmt: skip
    """Return a search, whose combinations are tried one after the other."""
    wanted = checked_budget(search, budget, seed)
    if search == "bayes" and wanted is not None:
        from mdkit.backtesting.trials.bayes import bayes

        report = reporter(progress, min(wanted, len(combinations)))
        return bayes(combinations, wanted, seed, METRICS[metric], report)
    tried = some_of(combinations, search, budget, seed)
    return in_turn(tried, reporter(progress, len(tried)))


def _evaluator(job: Job, runs: int) -> Evaluate:
    """Return what computes the figures of one combination, compiled where so many runs are."""
    code = _compiled(job, job.strategy.params, runs)
    if code is None:
        return job.evaluate
    return lambda params: job.evaluate_native(code, params)


def _compiled(job: Job, params: Params, runs: int) -> native.NativeStrategy | None:
    """Return a strategy's compiled form where it has one, and so many runs are worth it."""
    steps = len(job.panel) * len(job.panel.symbols) * runs
    if job.engine == "native" or (job.engine == "auto" and steps > _WORTH_COMPILING):
        try:
            return native.compile_strategy(job.strategy.with_params(**params))
        except CannotCompile as reason:
            if job.engine == "native":
                raise SettingsError(
                    f"strategy {job.strategy.name} cannot run natively: {reason}"
                ) from reason
    return None


def _trials(job: Job, combinations: list[Params], sharpe: pd.Series[Any]) -> dict[str, Any]:
    """Return what `deflated` needs: Sharpe ratios of one return, and how the best's are spread."""
    ratios = sharpe.astype(float).to_numpy()
    size, moments, year = len(job.panel.calendar.ends), (np.nan, np.nan), 1.0
    if np.isfinite(ratios).any():
        best = job.strategy.with_params(**combinations[int(np.nanargmax(ratios))])
        run, used, why = run_engine(best, job.panel, job.terms, job.engine)
        result = Result(
            best, job.panel, run, job.terms, used, why, job.periods_per_year, job.risk_free
        )
        steps = step_returns(result.account)
        moments, year = steps.moments, result.account.year
    return {
        "sharpe": (ratios / np.sqrt(year)).tolist(),
        "moments": moments,
        "returns": size,
        "frequency": job.panel.calendar.frequency,
    }


def make_job(
    strategy: Any,
    panel: Panel,
    grid: Mapping[str, Iterable[Any]],
    metric: str | Sequence[str],
    constraint: Callable[[Params], bool] | None,
    progress: Progress,
    engine: Engine,
    periods_per_year: float | None,
    risk_free: float,
    terms: Mapping[str, Any],
    rounds: int = 1,
    search: tuple[Search, int | None, int] = ("grid", None, 0),
    what: str = "sweep",
) -> tuple[Job, list[Params], Report]:
    """Return checked arguments of `sweep`: the job, the combinations, whom to tell of progress."""
    agreed = trading_terms(terms, engine, periods_per_year, risk_free, what)
    names = metric_names(metric)
    chosen = as_strategy(strategy)
    if chosen.is_async or "bar" not in chosen.kinds:
        raise SettingsError(f"strategy {chosen.name} does not run on bars; sweeps are over bars")
    agreed.check_bars()
    agreed.shares(panel.symbols)  # which refuses weights that do not fit, before anything runs
    combinations = combinations_of(chosen, grid, constraint)
    if search[0] == "bayes":
        checked_budget(*search)
    else:
        combinations = some_of(combinations, *search)
    job = Job(chosen, panel, agreed, engine, names, periods_per_year, risk_free)
    return job, combinations, reporter(progress, rounds * len(combinations))


def evaluate_all(
    job: Job, combinations: list[Params], report: Report, workers: int | None = None
) -> list[tuple[Any, ...]]:
    """Return the figures of every combination, in order, computed on this machine."""
    workers = workers or cores()
    code = _compiled(job, combinations[0], len(combinations))
    steps = len(job.panel) * len(job.panel.symbols) * len(combinations)
    if code is not None:
        # What all runs share is made before they start.
        _ = job.panel.calendar.ends
        return _native_threads(job, code, combinations, workers, report)
    heavy = steps > _WORTH_PROCESSES
    packed = _packed(job) if workers > 1 and heavy else None
    if packed is not None:
        # Its processes, unlike those of the standard library, do not run the user's script anew.
        from loky import ProcessPoolExecutor

        with ProcessPoolExecutor(workers, initializer=_receive, initargs=(packed,)) as pool:
            return _counted(pool.map(_evaluate_shared, combinations), report)
    return _counted(map(job.evaluate, combinations), report)


def _native_threads(
    job: Job,
    code: native.NativeStrategy,
    combinations: list[Params],
    workers: int,
    report: Report,
) -> list[tuple[Any, ...]]:
    # The first run compiles what is left to compile, alone.
    first = [job.evaluate_native(code, combinations[0])]
    report(1)
    rest = combinations[1:]
    if workers == 1 or len(rest) < 2:
        found = (job.evaluate_native(code, params) for params in rest)
        return first + _counted(found, report, 1)
    # Some at a time, since handing over work costs about as much as a short run.
    some = list(_chunks(rest, max(1, len(rest) // (8 * workers))))

    def evaluate(params: list[Params]) -> list[tuple[Any, ...]]:
        return [job.evaluate_native(code, each) for each in params]

    with ThreadPoolExecutor(workers, thread_name_prefix="mdkit sweep") as pool:
        runs = chain.from_iterable(pool.map(evaluate, some))
        return first + _counted(runs, report, 1)


def _counted(
    results: Iterable[tuple[Any, ...]], report: Report, done: int = 0
) -> list[tuple[Any, ...]]:
    found = []
    for result in results:
        found.append(result)
        done += 1
        report(done)
    return found


def _packed(job: Job) -> bytes | None:
    """Return a job as it goes to other processes; None if something in it cannot."""
    try:
        return dumps(job)
    except Exception:
        return None


def _receive(packed: bytes) -> None:
    _shared[:] = [pickle.loads(packed)]


def _evaluate_shared(params: Params) -> tuple[Any, ...]:
    return _shared[0].evaluate(params)


def _evaluate_many(job: Job, some: list[Params]) -> list[tuple[Any, ...]]:
    return [job.evaluate(params) for params in some]


def _on_dask(
    job: Job, combinations: list[Params], client: Any, report: Report
) -> list[tuple[Any, ...]]:
    from distributed import as_completed

    threads = sum(client.nthreads().values()) or 1
    # Several tasks a thread, so that a slow or dying worker holds up little.
    size = max(1, -(-len(combinations) // (4 * threads)))
    chunks = list(_chunks(combinations, size))
    shared = client.scatter(job, broadcast=True, hash=False)
    # Never taken for an earlier sweep's tasks (pure): a function may have changed meanwhile.
    tasks = [client.submit(_evaluate_many, shared, some, pure=False) for some in chunks]
    place = {task.key: number for number, task in enumerate(tasks)}
    found: list[list[tuple[Any, ...]]] = [[] for _ in chunks]
    done = 0
    try:
        for task in as_completed(tasks):  # type: ignore[no-untyped-call,unused-ignore]
            number = place[task.key]
            found[number] = task.result()
            done += len(chunks[number])
            report(done)
    finally:
        client.cancel(tasks)
    return [figures for some in found for figures in some]


def _chunks(items: Sequence[Params], size: int) -> Iterator[list[Params]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
