"""Floor 5: the arguments and the printing of one verb a file; doors like cli.py, which calls them."""
