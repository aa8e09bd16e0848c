"""Scope: which edits a prompt concerns, and how: the nearest wordings are found, and a cross-encoder reads them.

The one place in editing that knows FAISS. Begin with ``index``, then ``decision`` and ``cross_encoder``.
"""
