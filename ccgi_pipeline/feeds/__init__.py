"""What each partner's files must be, declared once. Pure: imports no other room of the package."""
