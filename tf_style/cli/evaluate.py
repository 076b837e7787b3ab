"""Judge trained models on pairs of a photo and a painting, against the photo and Gatys' method.

    python -m tf_style.evaluate --content-path photos --style-path paintings
    python -m tf_style.evaluate --checkpoint ckpt,magenta --content-path photos --style-path art

It measures, for every pair, the content loss as a share of the variance of the photo's features;
the style losses, by moments and by Gram matrices, relative to the untouched photo's; frames and
checkerboards; and PSNR and SSIM of a photo in its own style. --out-path receives every picture,
evaluation.json, evaluation.md and a contact sheet. After Ctrl-C the same command resumes.

Exit codes: 0 done, 2 a mistake that you can mend, 3 the numbers are not finite, 4 out of memory,
129, 130 or 143 stopped by a signal.
"""

from tf_style.cli import app
from tf_style.evaluation.config import EvaluateConfig


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return app.run(EvaluateConfig, _main, __doc__, argv)


def _main(config: EvaluateConfig) -> int:
    from tf_style.evaluation.wanted import check_evaluation

    check_evaluation(config)  # What is wrong with names is told at once.
    app.import_tensorflow()
    from tf_style.evaluation.evaluation import evaluate

    with app.Interrupt("this picture") as interrupt, app.progress_bar() as bar:
        app.say(bar, app.machine(config.precision))
        bar.show("judging", 0, None)
        kept = 0
        for record in evaluate(config, interrupt):
            if record.note:
                app.say(bar, record.note)
                continue
            kept += record.kept
            bar.show("judging", record.done, record.total, "pictures", record.name, steady=True,
                     skipped=kept)  # fmt: skip
            if bar.disable and bar.due():
                app.say(bar, bar.line(record.name))
        if interrupt():
            app.say(bar, "stopped; the same command resumes")
    return 128 + interrupt.signal if interrupt() else app.OK


if __name__ == "__main__":
    raise SystemExit(main())
