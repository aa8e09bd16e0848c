"""Training of question encoders and readers: losses, tasks, training sets, and runs that survive a kill.

It may import all other folders of ``retrieval``; nothing that serves imports it. Begin with ``trainer``.
"""
