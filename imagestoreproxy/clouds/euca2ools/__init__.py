"""A cloud behind the tools that an administrator would use: euca2ools, whichever are installed.

``generations`` tells which, ``arguments`` and ``words`` how each is spoken to and what it says,
``tools`` runs them, ``cloud`` is the cloud itself.
"""
