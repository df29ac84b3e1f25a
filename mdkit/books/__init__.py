"""Order books as columns: levels by name, tables of them, prices as decimals."""
