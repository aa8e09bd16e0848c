"""The ledger: events chained by hash, the state that follows from them, proofs about the log, and its export.

Imports nothing else of editing; the one place that knows SQL. Begin with ``events``, then ``ledger`` and ``state``.
"""
