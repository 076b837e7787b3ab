"""A door to `tf_style.cli.evaluate`; `python -m tf_style.evaluate --help` tells what it does."""

from tf_style.cli.evaluate import main

if __name__ == "__main__":
    raise SystemExit(main())
