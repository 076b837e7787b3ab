"""Train a style transfer model on a folder of photos and a folder of paintings.

    python train.py --content-path coco --style-path wikiart

The defaults are the AdaIN paper's. Without a GPU, and with the weights that come with the package:

    python train.py --content-path photos --style-path paintings --encoder vgg16 \\
        --crop-size 144 --resize-size 256 --batch-size 5 --max-iter 6000 \\
        --style-reduction mean --style-weight 6 --identity-weight 50 \\
        --learning-rate 8e-4 --lr-schedule cosine --warmup-iter 100 --precision auto

All GPUs are used; with TF_CONFIG set, give the same command on each machine (the README has it).

By --method conditional one network learns a table of styles, one for each painting, which can be
picked and blended by name; by --method predicted it learns to read any style from a picture.
`train.py --method conditional --help` has their flags.

Everything goes to --checkpoint: the model, the state to go on from, TensorBoard's logs (see them by
`tensorboard --logdir ckpt/logs`) and previews. The same command again resumes. Ctrl-C, SIGTERM and
SIGHUP save first. Exit codes: 0 done, 2 a mistake that you can mend, 3 the numbers are not finite,
4 out of memory, 5 another worker was lost, 129, 130 or 143 stopped by a signal, saved.
"""

import math
import signal
import sys
import time

from tf_style.cli import app, conditional
from tf_style.config import TrainConfig
from tf_style.config_conditional import ConditionalConfig, PredictedConfig

# Without a terminal, a line this often.
SECONDS_PER_LINE = 30


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return app.by_method(
        argv,
        {
            "adain": lambda argv: app.run(TrainConfig, run, __doc__, argv),
            "conditional": lambda argv: conditional.main(argv, run),
            "predicted": lambda argv: app.run(PredictedConfig, run, conditional.__doc__, argv),
        },
    )


def run(config: TrainConfig | ConditionalConfig) -> int:
    """Train, showing how far it is."""
    app.import_tensorflow()
    from tf_style.training import train

    with app.Interrupt("this step") as interrupt, app.progress_bar("steps") as bar:
        scans = {}
        task, last = None, 0.0

        def on_scan(what, done, total):
            if what not in scans:
                scans[what] = bar.add_task(f"looking at {what}", total=total, text="")
                if not sys.stderr.isatty():
                    app.say(bar, f"looking at {total} {what} pictures")
            bar.update(scans[what], completed=done)

        for number, record in enumerate(train(config, interrupt, on_scan)):
            if number == 0:
                app.say(bar, app.machine(config.precision))
            if record.note:
                app.say(bar, record.note)
                continue
            if task is None:
                for scan in scans.values():
                    bar.remove_task(scan)
                start = record.step
                task = bar.add_task("training", total=config.max_iter, completed=start, text="")
            parts = {"content": 0.0, "style": 0.0}
            for name, value in record.losses.items():
                part = name.split("/")[0]
                parts[part] = parts.get(part, 0.0) + value
            text = " ".join(f"{name} {value:.4g}" for name, value in parts.items())
            text += f" | {record.images_per_second:.2f} pairs/s"
            if not math.isnan(record.input_share):
                text += f", input {record.input_share:.0%}"
            bar.update(task, completed=record.step, text=text)
            now, end = time.monotonic(), record.step == record.max_iter
            if not sys.stderr.isatty() and (now - last > SECONDS_PER_LINE or end):
                last = now
                left = (record.max_iter - record.step) * record.seconds_per_step
                app.say(bar, f"step {record.step}/{record.max_iter} {text} | {app.time_left(left)}")
        # Another worker may have had the signal.
        stopped = interrupt() or record.step < config.max_iter
        if not stopped:
            app.say(bar, f"done; try it by stylize.py --checkpoint {config.checkpoint}")
    return 128 + (interrupt.signal or signal.SIGTERM) if stopped else app.OK


if __name__ == "__main__":
    raise SystemExit(main())
