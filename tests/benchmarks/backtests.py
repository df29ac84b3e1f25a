"""Backtests: mdkit's two engines beside vectorbt and backtesting.py, in one run.

    python tests/benchmarks/backtests.py [--bars 500000] [--rounds 5]

SMA 10/30 on seeded one-minute bars, fee 0.1 %; then a sweep of 100 pairs over a tenth of the
bars for their Sharpe ratios. vectorbt and backtesting.py are needed for this script alone:
pip install vectorbt backtesting. First calls are timed in fresh processes, importing the engine
included. vectorbt gets bars without a time zone, since it converts such an index at great
length. Medians of the rounds; the ratios are what to look at.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
FEE = 0.001
FAST, SLOW = range(5, 55, 5), range(60, 160, 10)


def seeded(count):
    path = HERE.parent / "backtesting" / "seeded.py"
    spec = importlib.util.spec_from_file_location("seeded", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.seeded_bars(count)


def median(work: Callable[[], object], rounds: int) -> float:
    """Return the median of `rounds` timings in seconds, after one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        gc.collect()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def mdkit_run(bars, engine="native"):
    from mdkit.backtesting.engine import backtest
    from mdkit.strategies import SmaCross

    return backtest(SmaCross(fast=10, slow=30), bars, fee=FEE, engine=engine)


def mdkit_sweep(bars):
    from mdkit.backtesting.trials.sweep import sweep
    from mdkit.strategies import SmaCross

    return sweep(SmaCross, bars, {"fast": FAST, "slow": SLOW}, fee=FEE)


def vectorbt_signals(close):
    import vectorbt as vbt

    fast, slow = vbt.MA.run(close, 10), vbt.MA.run(close, 30)
    return fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)


def vectorbt_simulate(bars, entries, exits):
    import vectorbt as vbt

    return vbt.Portfolio.from_signals(
        bars.close, entries, exits, price=bars.open, fees=FEE, init_cash=10_000, freq="1min"
    )


def vectorbt_run(bars):
    portfolio = vectorbt_simulate(bars, *vectorbt_signals(bars.close))
    return portfolio.value()


def vectorbt_sweep(bars):
    import vectorbt as vbt

    pairs = [(fast, slow) for fast in FAST for slow in SLOW]
    fast = vbt.MA.run(bars.close, [f for f, _ in pairs], short_name="fast")
    slow = vbt.MA.run(bars.close, [s for _, s in pairs], short_name="slow")
    entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    return vbt.Portfolio.from_signals(
        bars.close, entries, exits, fees=FEE, init_cash=10_000, freq="1min"
    ).sharpe_ratio()


def backtesting_run(bars):
    import backtesting
    import pandas as pd

    class Cross(backtesting.Strategy):
        def init(self):
            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(10).mean())
            self.slow = self.I(lambda: close.rolling(30).mean())

        def next(self):
            if self.fast[-1] > self.slow[-1]:
                if not self.position:
                    self.buy()
            elif self.position:
                self.position.close()

    return backtesting.Backtest(bars, Cross, cash=1e9, commission=FEE).run()


def first_call(who: str, count: int) -> float:
    """Return the seconds of the first call in a fresh process, bars and mdkit at hand."""
    code = (
        f"import sys, time, warnings; warnings.simplefilter('ignore'); "
        f"sys.path.insert(0, {str(HERE)!r}); import pandas, mdkit, mdkit.strategies; "
        f"import backtests as b; bars = b.seeded({count}); "
        f"bars = bars if {who!r} == 'mdkit_run' else bars.reset_index(drop=True); "
        f"t = time.perf_counter(); b.{who}(bars); print(time.perf_counter() - t)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure(count: int, rounds: int) -> list[tuple[str, float | None, float | None, float | None]]:
    """Return rows of (what, mdkit, vectorbt, backtesting.py) in seconds."""
    from mdkit.backtesting import runs as home
    from mdkit.backtesting.account.terms import Terms
    from mdkit.backtesting.data.panel import make_panel
    from mdkit.strategies import SmaCross, as_strategy

    bars = seeded(count)
    plain = bars.reset_index(drop=True)
    capital = bars.rename(columns=str.capitalize).tz_localize(None)
    entries, exits = vectorbt_signals(plain.close)
    panel, terms = make_panel(bars), Terms(fee=FEE)
    signals = home.native_run(as_strategy(SmaCross), panel, terms).signals
    scratch = home.Scratch()
    few = bars.iloc[: count // 10]
    few_plain = plain.iloc[: count // 10]
    theirs = median(lambda: backtesting_run(capital), 1)
    vectorbt = median(lambda: vectorbt_run(plain), rounds)
    return [
        ("bars to equity, native", median(lambda: mdkit_run(bars), rounds), vectorbt, theirs),
        (
            "simulation alone, native",
            median(lambda: home.native_account(panel, terms, signals, scratch), rounds),
            median(lambda: vectorbt_simulate(plain, entries, exits), rounds),
            None,
        ),
        (
            "bars to equity, Python",
            median(lambda: mdkit_run(bars, "python"), max(1, rounds // 2)),
            vectorbt,
            theirs,
        ),
        (
            f"sweep, 100 x {count // 10:,}",
            median(lambda: mdkit_sweep(few), rounds),
            median(lambda: vectorbt_sweep(few_plain), max(1, rounds // 2)),
            None,
        ),
        (
            "first call",
            statistics.median(first_call("mdkit_run", count) for _ in range(3)),
            first_call("vectorbt_run", count),
            None,
        ),
    ]


def table(rows) -> str:
    """Return the report, other libraries as ratios to mdkit."""
    lines = [f"{'':<28}{'mdkit':>11}{'vectorbt':>12}{'ratio':>8}{'backtesting.py':>16}{'ratio':>8}"]
    for what, ours, vectorbt, theirs in rows:
        line = f"{what:<28}{_time(ours):>11}{_time(vectorbt):>12}{vectorbt / ours:>8.1f}"
        if theirs is not None:
            line += f"{_time(theirs):>16}{theirs / ours:>8.1f}"
        lines.append(line)
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    missing = [n for n in ("vectorbt", "backtesting", "numba") if not importlib.util.find_spec(n)]
    if missing:
        sys.exit(f"this benchmark compares with others: pip install {' '.join(missing)}")
    warnings.simplefilter("ignore")
    print(f"{arguments.bars:,} one-minute bars, SMA 10/30, fee 0.1 %; medians")
    print(table(measure(arguments.bars, arguments.rounds)))


if __name__ == "__main__":
    main()
