"""Give photos the style of paintings: every photo with every painting.

    python stylize.py photo.jpg painting.jpg
    python stylize.py photos/*.jpg --style painting.jpg --out-path out
    python stylize.py --content-path examples/content --style-path examples/styles --out-path out
    python stylize.py --checkpoint ckpt --content-path photo.jpg --style-path 'paintings/*.jpg'
    python stylize.py --content-path photo.jpg --style-path paintings --style-weights 3,1
    python stylize.py --method gatys --content-path photo.jpg --style-path painting.jpg

Without --style or --style-path, two words are a photo and a painting; with one of these, all words
are photos. --method adain, the default, applies a trained network in one pass; --method gatys
optimises the pixels of each picture, which takes minutes and follows the painting more closely. The
flags below are for adain; `stylize.py --method gatys --help` has the others. --export-path writes
the model for TensorFlow Serving (`stylize.py --export-path serving/adain --help`).

No network is needed: a trained model comes with the package. Results are named
<content>_stylized_<style>.<format>; none is overwritten unless you say so. Ctrl-C ends the program
after the current picture. Exit codes: 0 all done, 1 some pictures could not be used (each is named)
and the rest is done, 2 a mistake that you can mend, nothing written, 3 the numbers are not finite,
nothing written, 4 out of memory, 129, 130 or 143 stopped by a signal.
"""

from tf_style.cli import app, export, gatys
from tf_style.inference.config import StylizeConfig


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    mains = {
        "adain": lambda argv: app.run(StylizeConfig, _main, __doc__, argv),
        "gatys": gatys.main,
    }
    return app.by_method(argv, mains, unless={"export-path": export.main})


def _main(config: StylizeConfig) -> int:
    from tf_style.inference.wanted import wanted_of

    wanted_of(config)  # What is wrong with names is told at once.
    app.import_tensorflow()
    from tf_style.inference.folder import stylize_folder

    seconds, faults, written = [], {}, 0
    with app.Interrupt("this picture") as interrupt, app.progress_bar() as bar:
        bar.show("stylising", 0, None)
        for number, record in enumerate(stylize_folder(config, interrupt)):
            if number == 0:
                app.say(bar, app.machine(config.precision))
            if record.note:
                app.say(bar, record.note)
            else:
                seconds.append(record.seconds)
                written += record.fault is None
                left = sum(seconds) / len(seconds) * (record.total - record.done)
                name = record.path.name
                bar.show("stylising", record.done, record.total, "pictures", name, left)
                # A painting that cannot be read fails with every photo, and is named once.
                if record.fault and record.path not in faults:
                    faults[record.path] = record.fault
                    app.say(bar, app.of_file(record.path, record.fault))
                elif not record.fault and bar.disable:
                    app.say(bar, bar.line(f"{record.path} {record.seconds:.1f} s"))
        if interrupt():
            app.say(bar, "stopped; the same command with --skip-existing does the rest")
        failed = len(seconds) - written
        names = ", ".join(path.name for path in faults)
        failures = f", {failed} failed because of {names}" if failed else ""
        app.say(bar, f"{written} written to {config.out_path}{failures}")
    if interrupt():
        return 128 + interrupt.signal
    return app.code_of_all(faults, some_done=not failed or failed < record.total)


if __name__ == "__main__":
    raise SystemExit(main())
