"""The support bundle: how an installation stands, for who helps from outside, without any value."""
