"""From received bytes to text that loses nothing: inbox, archive, zips, strict reader."""
