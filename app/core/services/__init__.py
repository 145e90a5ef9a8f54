"""The actions of a caller: REST, the UI, the command line and beat all call these functions."""
