"""Editors: MEND and those beside it, each turning corrections into low-rank changes.

Imports ``model``, and of ``scope`` the head that a checkpoint carries. Begin with ``protocol``, then ``mend``.
"""
