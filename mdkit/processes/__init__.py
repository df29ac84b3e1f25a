"""Worker processes: lanes on other cores, with the order within a symbol kept.

lanes.py     lanes as the session sees them, served by processes
process.py   processes: started, given their strategies, ended
worker.py    what runs in one
protocol.py  what goes between them
"""
