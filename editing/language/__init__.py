"""What is known of English: statements of questions, names, follow-ups, what a conversation asks.

Imports nothing else of editing. Begin with ``views``, the forms of one edit, and ``conversation``.
"""
