"""Editing a language model while it runs: editors, edits, their ledger and their scope.

Stands on ``errata`` alone. ``edit`` says what an edit is; begin there, then ``editors/protocol`` and ``scope/index``.
What serves (``model``, ``editors``, ``scope``, ``ledger``, ``language``) imports neither ``data`` nor ``training``.
"""
