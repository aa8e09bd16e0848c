"""Answers beside an index: passages are searched and read, and an edit in force overrules them.

Imports ``retrieval``, ``service.edits.registry``, ``service.engines`` and ``service.types``. Begin with ``answerer``.
"""
