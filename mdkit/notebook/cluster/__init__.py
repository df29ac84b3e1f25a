"""Sessions beyond one machine: one a shard of symbols, on the workers of a Dask cluster."""

from mdkit.notebook.cluster.receipt import ClusterReceipt
from mdkit.notebook.cluster.session import ClusterSession

__all__ = ["ClusterReceipt", "ClusterSession"]
