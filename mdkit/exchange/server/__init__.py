"""The service: sockets and REST on one port, who may call, and what is delivered to whom."""
