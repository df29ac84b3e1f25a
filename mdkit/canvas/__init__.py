"""The canvas: a widget whose page draws what numbered, binary messages bring.

widget.py  the widget: messages out, acknowledgements in
rings.py   the newest rows of a series, on the kernel's side
module.py  the page's modules (static/*.js) joined into one

The page's modules, from the ground up: ring, scales, wire, book (what a row of books says), view
(what is looked at), store (what has come); theme, lines, film and heatimage (what is kept of the
picture before), bubbles, heat, pressure, strips, footprint, side (the panes); layout, readout,
board (the canvas), interact, controls, player, keep (the picture in a saved notebook), main.
"""
