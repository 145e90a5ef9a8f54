"""Everything that depends on private parts of python-engineio."""
