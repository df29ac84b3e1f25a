"""Sessions beyond one machine: one a shard of symbols, on the workers of a Dask cluster."""

from mdkit.cluster.receipt import ClusterReceipt
from mdkit.cluster.session import ClusterSession

__all__ = ["ClusterReceipt", "ClusterSession"]
