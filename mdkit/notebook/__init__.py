"""Event loops and Jupyter kernels; nothing else.

loops.py   where a session's loop lives: the running one, or one of its own in a thread
kernel.py  what is known about the kernel that a notebook runs in
"""
