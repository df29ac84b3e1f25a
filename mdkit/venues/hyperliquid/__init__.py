"""Hyperliquid: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket

venue.py   the `Venue`
wire.py    commands and answers
parser.py  frames: books, trades, tickers
rest.py    its REST service: bars and books
"""
