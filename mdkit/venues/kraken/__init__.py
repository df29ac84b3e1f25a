"""Kraken, spot, WebSocket API v2: https://docs.kraken.com/api/docs/guides/spot-ws-intro

wire.py    commands and answers
parser.py  frames: books with checksums, trades, tickers
"""
