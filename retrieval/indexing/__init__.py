"""From a corpus to an index version: reading, embedding in shards that survive a kill, shipped vectors, updates.

It may import ``encoders``, ``evaluation`` and ``index``. Begin with ``builder``.
"""
