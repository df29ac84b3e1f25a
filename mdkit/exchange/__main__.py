"""`python -m mdkit.exchange`: the exchange's own process, started by `Exchange`."""

from mdkit.exchange.process import child_main

raise SystemExit(child_main())
