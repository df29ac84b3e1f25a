"""Kraken, spot, WebSocket API v2: https://docs.kraken.com/api/docs/guides/spot-ws-intro

venue.py   the `Venue`
wire.py    commands and answers
parser.py  frames: books with checksums, trades, tickers
rest.py    its REST service: bars and books
"""
