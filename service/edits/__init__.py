"""Edits: computed on the served model, verified by free generation, recorded in the ledger, and found again.

Imports ``editing``, ``service.engines``, ``service.prompt``, ``service.jobs`` and ``service.types``; nothing of answers
and nothing of HTTP. Begin with ``writer`` (a request becomes an event) and ``registry`` (what is in force).
"""
