"""The scripts: flags, progress and exit codes; the work is the library's."""
