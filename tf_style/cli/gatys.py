r"""Optimise the pixels of photos for the style of paintings: every photo with every painting.

    python stylize.py --method gatys --content-path photo.jpg --style-path painting.jpg
    python stylize.py --method gatys --content-path photo.jpg --style-path paintings \
        --style-weights 3,1
    python stylize.py --method gatys --content-path photo.jpg --style-path painting.jpg \
        --content-weight 0
    python stylize.py --method gatys --content-path photo.jpg --style-path painting.jpg \
        --style-weight 0 --content-layers relu3_1

With --content-weight 0 it makes a texture like the painting's, in the photo's size; with
--style-weight 0 it reconstructs the photo from its content layers. VGG19's weights are downloaded
once; --encoder vgg16 needs no network. Results are named <content>_stylized_<style>.<format>.
Beside each is a folder .progress with the intermediate pictures, the options, and the state to
resume from.

Ctrl-C writes the best picture so far, and --resume continues. Exit codes: 0 all done, 1 some
pictures could not be used (each is named) and the rest is done, 2 a mistake that you can mend, 3
the numbers are not finite, 4 out of memory, 129, 130 or 143 stopped by a signal.
"""

from tf_style.cli import app
from tf_style.gatys.config import GatysConfig


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return app.run(GatysConfig, _main, __doc__, argv)


def _main(config: GatysConfig) -> int:
    from tf_style.gatys.wanted import wanted_of

    wanted_of(config)  # What is wrong with names is told at once.
    app.import_tensorflow()
    from tf_style.gatys.folder import paint_folder

    faults, written, total, said, text, told = {}, 0, 0, 0, "", -10
    with app.Interrupt("this step") as interrupt, app.progress_bar() as bar:
        for number, record in enumerate(paint_folder(config, interrupt)):
            if number == 0:
                app.say(bar, app.machine(config.precision))
            total = record.total
            if record.note:
                app.say(bar, record.note)
            if record.fault and record.path not in faults:
                faults[record.path] = record.fault
                app.say(bar, app.of_file(record.path, record.fault))
            now = record.iterate
            if now is None:
                continue
            step = now.evaluations // (config.save_every or config.max_evaluations)
            # Not at every step, as some optimisers have to evaluate it for the purpose.
            if now.last or step != said or interrupt() or not told <= now.evaluations < told + 10:
                text, told = _sentence(now), now.evaluations
            # At first nothing can be told.
            left = now.seconds * (1 / now.done - 1) if now.evaluations >= 8 else None
            name, most = record.path.name, config.max_evaluations
            bar.show(name, now.evaluations, most, "evaluations", text, left)
            if record.finished:
                written, step = written + 1, 0
                app.say(bar, f"{record.number}/{total} {record.path} {now.seconds:.0f} s, {text}")
            elif not now.last and (step != said or interrupt()):
                app.say(bar, bar.line(f"evaluations, {text}"))
            said = step
        if interrupt():
            app.say(bar, "stopped; the picture so far is written, and the same command with "
                    "--resume continues")  # fmt: skip
            return 128 + interrupt.signal
        app.say(bar, f"{written} written to {config.out_path}")
    return app.code_of_all(faults, some_done=written > 0)


def _sentence(now) -> str:
    """The loss and its parts."""
    parts = f"loss {now.loss:.4g} = content {now.content:.3g} + style {now.style:.3g}"
    return f"{parts} + tv {now.tv:.3g}" if now.tv else parts
