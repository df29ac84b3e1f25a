"""The past: bars over REST, cached in Parquet; gaps, resampling, files; and live bars.

    klines.py      pages a service until a stretch is complete, through the cache
    client.py      HTTP: timeouts, retries, a request budget, errors with a cure
    cache.py       Parquet files by month that know what they cover
    locks.py       a lock between processes
    progress.py    a progress bar for loads of more than a few pages
    columns.py     bars as plain columns, and as the DataFrame a user gets
    intervals.py   where periods begin and end
    times.py       what may be written for `start` and `end`
    reshape.py     `gaps` and `resample`
    files.py       `read_klines`; csv_tables.py: CSV without guessing what a column holds;
                   stamps.py: the times in such files
    prices.py      prices of 0 and below
    bars.py        trades folded into bars, one event at a time

`md.klines` itself is in `mdkit.api.klines`, since it can start the embedded exchange.
"""
