"""Kraken, spot, WebSocket API v2: https://docs.kraken.com/api/docs/guides/spot-ws-intro

rest.py    the REST service
"""
