"""HTTP to a venue's REST service.

budget.py        calls a minute
client.py        requests, retries, a budget of calls
retries.py       what is tried again, and when
deadlines.py     answers that do not end
certificates.py  whom to trust
"""
