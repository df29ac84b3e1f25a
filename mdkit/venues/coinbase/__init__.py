"""Coinbase: Advanced Trade's market data, which needs no key: https://docs.cdp.coinbase.com/advanced-trade/docs/ws-overview

venue.py   the `Venue`
wire.py    commands and answers
parser.py  frames: books, trades, tickers
rest.py    its REST service: bars and books
"""
