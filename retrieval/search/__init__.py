"""Passages for a question: dense search, BM25, their fusion, filters and re-ranking.

It may import ``encoders`` and ``index``. Begin with ``retriever``.
"""
