"""Train a style transfer model on a folder of photos and a folder of paintings.

    python train.py --content-path coco --style-path wikiart

The defaults are the AdaIN paper's. Without a GPU, and with the weights that come with the package:

    python train.py --content-path photos --style-path paintings --encoder vgg16 \\
        --crop-size 144 --resize-size 256 --batch-size 5 --max-iter 6000 \\
        --style-reduction mean --style-weight 6 --identity-weight 50 \\
        --learning-rate 8e-4 --lr-schedule cosine --warmup-iter 100 --precision auto

All GPUs are used; with TF_CONFIG set, give the same command on each machine (docs/training.md says
how).

With --method conditional, one network learns a table of styles, one for each painting, which are
picked and blended by name; with --method predicted, it learns to read any style from a picture.
`train.py --method conditional --help` has their flags.

Pictures that cannot be read are left out and named in left_out.tsv; more than 5 % of a folder stop
the training.

Everything goes to --checkpoint: the model, the state to resume from, TensorBoard's logs (shown by
`tensorboard --logdir ckpt/logs`) and previews. The same command again resumes. Ctrl-C, SIGTERM and
SIGHUP save first. Exit codes: 0 done, 2 a mistake that you can mend, 3 the numbers are not finite,
4 out of memory, 5 another worker was lost, 129, 130 or 143 stopped by a signal, saved.
"""

import math
import signal

from tf_style.cli import app, conditional
from tf_style.training.config import ConditionalConfig, PredictedConfig, TrainConfig


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
    from tf_style.training.wanted import folders_of

    folders_of(config)  # What is wrong with names is told at once.
    app.import_tensorflow()
    from tf_style.training.loop import train

    with app.Interrupt("this step") as interrupt, app.progress_bar() as bar:

        def on_scan(what, done, total):
            bar.show(f"looking at {what}", done, total, "pictures", steady=True)
            if bar.disable and bar.due() and done < total:
                app.say(bar, f"looking at {what}: {bar.line('pictures')}")

        for number, record in enumerate(train(config, interrupt, on_scan)):
            if number == 0:
                app.say(bar, app.machine(config.precision))
                # The first losses may take minutes.
                bar.show("training", record.step, config.max_iter, "steps")
            if record.note:
                app.say(bar, record.note)
                continue
            left = (record.max_iter - record.step) * record.seconds_per_step
            text = _sentence(record)
            bar.show("training", record.step, record.max_iter, "steps", text, left)
            if bar.due() or interrupt():
                app.say(bar, bar.line(f"steps, {text}"))
        # Another worker may have had the signal.
        stopped = interrupt() or record.step < config.max_iter
        if not stopped:
            # Of a table's styles one has to be named, or all are taken.
            which = " --all-styles" if config.method == "conditional" else ""
            app.say(bar, f"done; try it by stylize.py --checkpoint {config.checkpoint}{which}")
    return 128 + (interrupt.signal or signal.SIGTERM) if stopped else app.OK


def _sentence(record) -> str:
    """The losses of a record by their parts, and the speed."""
    parts = {"content": 0.0, "style": 0.0}
    for name, value in record.losses.items():
        part = name.split("/")[0]
        parts[part] = parts.get(part, 0.0) + value
    text = " ".join(f"{name} {value:.4g}" for name, value in parts.items())
    text += f" | {record.images_per_second:.2f} pairs/s"
    return text if math.isnan(record.input_share) else f"{text}, input {record.input_share:.0%}"


if __name__ == "__main__":
    raise SystemExit(main())
