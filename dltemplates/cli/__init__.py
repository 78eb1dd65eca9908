"""The command line `dlt`."""
