"""A door to `tf_style.cli.command`; `python -m tf_style --help` tells what it does."""

from tf_style.cli.command import main

if __name__ == "__main__":
    raise SystemExit(main())
