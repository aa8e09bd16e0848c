"""From texts to vectors: encoders of passages and questions, their acceleration, and the cross-encoder.

It may import ``index``. Begin with ``encoder``.
"""
