"""Archives that others publish, as events with their gaps.

reader.py   finds out what a file is, and reads it
tardis.py   Tardis: trades, book_snapshot_N, incremental_book_L2
binance.py  Binance's public files: trades, aggTrades, bookTicker
databento.py  Databento's DBN: trades, mbp-1, mbp-10, ohlcv
"""
