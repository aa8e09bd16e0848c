"""Encoders, search, indexing of corpora, RAG decoding, the reader, and the training and evaluation of both.

It may import ``index`` and ``errata``. Begin with ``search.retriever`` and ``rag.decode``.
"""
