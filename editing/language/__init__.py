"""What is known of English: the statements that questions stand for, in which an edit is computed as well.

Imports nothing else of editing. Begin with ``views``, the forms of one edit.
"""
