"""A door to `tf_style.cli.train`; `python train.py --help` tells what it does."""

from tf_style.cli.train import main

if __name__ == "__main__":
    raise SystemExit(main())
