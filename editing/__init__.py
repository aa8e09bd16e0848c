"""Editing a language model while it runs: the editor network, edits, their ledger and their scope.

Imports nothing of the other packages; see ``tests/test_layers.py``.
"""
