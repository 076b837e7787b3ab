"""A door to `tf_style.cli.stylize`; `python stylize.py --help` tells what it does."""

import sys

try:
    from tf_style.cli.stylize import main
except ImportError as error:  # Another Keras backend, or a package that is not installed.
    sys.exit(print(f"stylize.py: {error}", file=sys.stderr) or 2)

if __name__ == "__main__":
    raise SystemExit(main())
