"""Events as files of other programs, and back.

event_tables.py    the tables that any events have; listed.py: those of a list of them
parquet.py         `to_parquet`
parquet_reader.py  `read_parquet`
hftbacktest.py     `to_hftbacktest`
"""
