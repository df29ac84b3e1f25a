"""Binance's dialects: spot and Binance.US, and USD-M futures."""
