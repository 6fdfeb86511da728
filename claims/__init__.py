"""What papers claim, measured again: one module a method, whose ``claim()`` gives ``Row`` after row."""
