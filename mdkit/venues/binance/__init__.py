"""Binance: spot, Binance.US and USD-M futures, which share a wire but for a few rules.

https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams

rest.py    the REST service
"""
