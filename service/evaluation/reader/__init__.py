"""Evaluation of a reader, and calibration of the thresholds under which it answers, quotes or says nothing.

It may import what ``service.evaluation`` may, and that, but neither ``editing`` nor ``rag``. Begin with ``run``.
"""
