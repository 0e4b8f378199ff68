"""SFTP: files come from districts' and partners' servers, and go there.

``servers`` says which server and with which credentials, ``opening`` comes in there, ``connection``
lists, fetches and uploads, ``protocol`` is SFTP itself, ``faults`` says what went wrong: for now,
or until somebody acts.
``keys_of_districts`` says who may come in where the project has a server of its own, ``measuring``
times it all beside OpenSSH's own program.

Nothing here knows what the files are.
"""
