"""The doors: `live()`, `klines()`, and the article's `MarketDataPipeline`."""
