"""Evaluation of edits: whether they hold, generalise and leave the rest alone, beside other editors.

It may import what ``service.evaluation`` may, and that, but neither ``rag`` nor ``reader``. Begin with ``run``.
"""
