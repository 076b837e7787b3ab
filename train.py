"""A door to `tf_style.cli.train`; `python train.py --help` tells what it does."""

import sys

try:
    from tf_style.cli.train import main
except ImportError as error:  # Another Keras backend, or a package that is not installed.
    sys.exit(print(f"train.py: {error}", file=sys.stderr) or 2)

if __name__ == "__main__":
    raise SystemExit(main())
