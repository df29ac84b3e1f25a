"""What trades and books say over time and price, as tables; the live canvas draws the same.

columns.py    the columns of a table of trades that everything here reads
footprint.py  volume by side at each price of each bar
cvd.py        cumulative volume delta
profile.py    volume by price
heatmap.py    resting size by time and price
steps.py      steps of time or price that read well
"""
