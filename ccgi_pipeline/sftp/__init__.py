"""The SFTP client: files come from and go to the servers of districts and partners.

``servers`` has the accounts and credentials, ``session`` opens a session, ``connection`` lists,
fetches and uploads, ``protocol`` is SFTP itself, and ``faults`` tells transient from permanent
errors. ``district_keys`` keeps the districts' public keys for CCGI's own server.

Nothing here knows what the files are.
"""
