"""Measures of answers and retrieval as the field counts them, question sets, and the calibration of readers.

It may import ``search``, ``encoders``, ``reader`` and ``index``. Begin with ``metrics``.
"""
