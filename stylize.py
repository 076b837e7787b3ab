"""A door to `tf_style.cli.stylize`; `python stylize.py --help` tells what it does."""

from tf_style.cli.stylize import main

if __name__ == "__main__":
    raise SystemExit(main())
