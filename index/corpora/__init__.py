"""Corpora: readers of MediaWiki dumps, parquet, JSON lines, DPR's passages, texts and summaries; articles come out.

May import index.passages.passage and index.errors. Begin with ``corpus``: it recognises a kind and calls its reader.
"""
