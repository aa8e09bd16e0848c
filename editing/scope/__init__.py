"""Scope: which edits a prompt asks about, by the nearest wordings and a trained head.

Imports ``language``; the one place in editing that knows FAISS. Begin with ``index``, then ``decision``.
"""
