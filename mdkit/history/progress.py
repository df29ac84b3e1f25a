"""A progress bar for loads of more than a few pages."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_FEW_PAGES = 4
_LONG_WAIT = 2.0


class Progress:
    """Counts bars as they come. `show=None` shows a bar from a few pages on, or a long wait."""

    def __init__(self, title: str, show: bool | None = None) -> None:
        self._title = title
        self._show = show
        self._total = 0
        self._done = 0
        self._pages = 0
        self._bar: Any = None
        self._why = ""

    def expect(self, periods: int) -> None:
        """Add to what is to come, in periods."""
        self._total += periods
        self._draw(0)

    def page(self, periods: int) -> None:
        """Note that a page has come, which settled this many periods."""
        self._pages += 1
        self._done += periods
        if self._why and self._bar is not None:
            self._why = ""
            self._bar.set_postfix_str("", refresh=False)
        self._draw(periods)

    def waiting(self, seconds: float, why: str) -> None:
        """Say that nothing will come for a while, and why."""
        if seconds < _LONG_WAIT:
            return
        self._why = f"waiting {seconds:.0f} s: {why[:80]}"
        self._draw(0, force=True)
        if self._bar is not None:
            self._bar.set_postfix_str(self._why)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def _draw(self, periods: int, *, force: bool = False) -> None:
        if self._show is False:
            return
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.update(periods)
        elif self._show or force or self._pages >= _FEW_PAGES:
            self._bar = _bar_class()(
                desc=self._title, total=self._total, initial=self._done, unit="bars", leave=False
            )


def _bar_class() -> Any:
    tqdm: Any = import_module("tqdm.auto").tqdm

    class Bar(tqdm):  # type: ignore[misc]
        # tqdm's watching thread would outlive the load.
        monitor_interval = 0

    return Bar
