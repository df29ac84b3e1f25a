"""The past: bars over REST, cached in Parquet; gaps, resampling, files; and live bars.

klines.py     loads what the cache lacks
paging.py     pages a service until a stretch is complete
cache.py      Parquet files by month that know what they cover; locks.py: between processes
progress.py   a progress bar for loads of more than a few pages
columns.py    bars as plain columns, and as the DataFrame a user gets
intervals.py  where periods begin and end
times.py      what may be written for `start` and `end`
reshape.py    `gaps` and `resample`
prices.py     prices of 0 and below
bars.py       trades folded into bars, one event at a time
http/         requests to a venue's REST service
files/        `read_klines`: CSV and JSON

`md.klines` itself is in `mdkit.api.klines`, since it can start the embedded exchange.
"""
