"""What can go wrong on request: the kinds of fault, and what they act on."""
