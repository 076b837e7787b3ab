"""Give photos the style of paintings: every photo with every painting.

    python stylize.py --content-path examples/content --style-path examples/styles --out-path out
    python stylize.py --checkpoint ckpt --content-path photo.jpg --style-path 'paintings/*.jpg'
    python stylize.py --content-path photo.jpg --style-path paintings --style-weights 3,1

Needs no network: a trained model comes with the package. Results are named
<content>_stylized_<style>.<format>; none is overwritten unless you say so. Exit codes: 0 all done,
1 some pictures could not be used (each is named) and the rest is done, 2 a mistake that you can
mend, nothing done, 3 the numbers are not finite, 4 out of memory, 130 or 143 stopped by a signal.
"""

import sys

from tf_style.cli import app
from tf_style.config import StylizeConfig


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return app.run(StylizeConfig, _main, __doc__, argv)


def _main(config: StylizeConfig) -> int:
    interrupt = app.Interrupt()
    app.import_tensorflow()
    from tf_style.inference import stylize_folder

    failed = written = 0
    with app.progress_bar("pictures") as bar:
        task = None
        for record in stylize_folder(config):
            if record.note:
                bar.console.print(record.note, highlight=False)
                continue
            if task is None:
                task = bar.add_task("stylising", total=record.total, text="")
            bar.update(task, completed=record.done, text=record.path.name)
            if record.fault:
                failed += 1
                bar.console.print(f"{record.path.name}: {record.fault}", highlight=False)
            else:
                written += 1
                if not sys.stderr.isatty():
                    bar.console.print(
                        f"{record.done}/{record.total} {record.path} {record.seconds:.1f} s",
                        highlight=False,
                    )
            if interrupt():
                break
        bar.console.print(
            f"{written} written to {config.out_path}" + (f", {failed} failed" if failed else ""),
            highlight=False,
        )
    if interrupt():
        return 128 + interrupt.signal
    return app.SOME_FAILED if failed else app.OK


if __name__ == "__main__":
    raise SystemExit(main())
