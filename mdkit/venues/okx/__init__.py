"""OKX: WebSocket API v5: https://www.okx.com/docs-v5

venue.py   the `Venue`
wire.py    commands and answers
parser.py  frames: books, trades, tickers
rest.py    its REST service: bars and books
"""
