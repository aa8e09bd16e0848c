"""Encoders, embedding, retrieval and RAG decoding. Imports ``index`` only."""
