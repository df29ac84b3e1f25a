"""Archives that others publish, as events with their gaps: Tardis' CSV, Binance's public files.

reader.py   finds out what a file is, and reads it
tardis.py   Tardis: trades, book_snapshot_N, incremental_book_L2
binance.py  Binance: trades, aggTrades, bookTicker
"""
