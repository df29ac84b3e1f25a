"""Coinbase's dialect: Advanced Trade."""
