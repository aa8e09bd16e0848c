"""Passages, corpora and the FAISS index over them, without a model.

May import errata. Begin with ``versions.passage_index`` (a version that is searched) and ``versions.build``.
"""
