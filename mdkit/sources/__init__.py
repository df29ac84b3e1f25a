"""Where messages come from.

source.py                 the protocols: a source delivers to a sink
websocket.py              the WebSocket source: connect, subscribe, keep alive, reconnect
connection.py             what a source needs of a connection
websockets_connection.py  a connection by the library websockets
subscriptions.py          what is subscribed to, and what the venue says to that
backoff.py                how long to wait before the next try
failures.py               why there is no connection, in words
"""
