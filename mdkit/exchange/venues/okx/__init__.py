"""OKX's dialect: spot, v5."""
