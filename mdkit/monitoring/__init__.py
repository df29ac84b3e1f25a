"""What runs for days is watched by others: metrics that are fetched, alerts that are sent.

figures.py      the figures of a pipeline at one moment
exposition.py   all of them in Prometheus's text format; endpoint.py: where that is fetched
conditions.py   what an alert waits for: words, comparisons, functions
episodes.py     when it is told: once an episode, and not again within the cool-down
alerts.py       the alerts of a session, and what became of them
telling.py      calling what an alert does, off the loop; webhook.py, notice.py: what it may do
"""
