"""The folder of a user without this repository, and the programs in it."""
