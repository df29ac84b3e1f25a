"""Kraken's dialect: spot, WebSocket v2 and REST."""
