"""Evaluation of retrieval and of answers from passages, on questions whose answers are known.

It may import what ``service.evaluation`` may, and that, but neither ``editing`` nor ``reader``. Begin with ``run``.
"""
