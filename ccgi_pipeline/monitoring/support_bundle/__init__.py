"""The support bundle: how an installation stands, for helpers outside it, without any value."""
