"""Binance: spot, Binance.US and USD-M futures, which share a wire but for a few rules.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams

venue.py   the three `Venue`s
wire.py    commands and answers
parser.py  frames and REST snapshots: books, best prices, trades, tickers
rest.py    its REST service: bars and books
"""
