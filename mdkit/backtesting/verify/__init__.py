"""`md.verify`: one strategy, every engine, the same bits."""
