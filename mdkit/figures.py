"""A matplotlib figure that shows itself as the value of a notebook's cell, without pyplot."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Picture(Figure):
    """A private figure: not among pyplot's, and shown as PNG wherever its value is.

    Without this a notebook shows a bare figure only after pyplot has been imported.
    """

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        # Not savefig(), which follows the user's settings for resolution, colour and cropping.
        FigureCanvasAgg(self).print_png(out)  # type: ignore[no-untyped-call]
        return out.getvalue()
