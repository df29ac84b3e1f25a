"""Views: each looks at a session's frames on a clock, none is pushed to.

dashboard/  the live canvas
view.py     what a view is; ladder.py, tables.py: those that are tables
clock.py    the clock that they are drawn on
widgets.py  what shows them in a notebook; text.py: in a terminal; html.py: how tables look
"""
