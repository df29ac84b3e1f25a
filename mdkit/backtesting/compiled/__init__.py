"""What compiled code may do, so that it never differs from Python; needs numba, bar `reads`."""
