"""What studies are made of.

data.py         recordings, tables and sessions as tables of one symbol
segments.py     times and gaps: what stood at a moment, and where that is not known
measuring.py    the values that are studied
bootstrap.py    bands by block bootstrap
finding.py      what every result can do: a sentence, a picture, tables, a page
"""
