"""Export a trained model for TensorFlow Serving, or as an ONNX, OpenVINO or LiteRT file.

    python stylize.py --export-path serving/adain
    python stylize.py --export-path serving/mine --checkpoint ckpt --warmup-sizes 256,512
    python stylize.py --export-path adain.onnx --export-format onnx

Each export is the next version in the folder, serving/adain/1, serving/adain/2 and so on, written
whole or not at all, and checked against the model before it gets its number. It accepts and returns
pictures as JPEG or PNG bytes (stylize_bytes) and as floats (serving_default), of any size; a style
can be encoded once and used for many photos (encode_style, stylize_encoded). serving/README.md says
how to serve it and has a client. A file of another format takes the stylizer's own inputs: content,
alpha, and style or style_weights.

Exit codes: 0 done, 2 a mistake that you can mend, 3 the export differs from the model, 4 out of
memory.
"""

from tf_style.cli import app
from tf_style.errors import counted
from tf_style.export.config import ExportConfig


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return app.run(ExportConfig, _main, __doc__, argv)


def _main(config: ExportConfig) -> int:
    from tf_style.export.wanted import check_export

    check_export(config)  # What is wrong with names is told at once.
    app.import_tensorflow()
    from tf_style.export.exporting import export_model

    with app.progress_bar() as bar:
        bar.show("exporting", 0, None)
        app.say(bar, f"exporting {config.checkpoint} in {config.precision}")
        found = export_model(config)
        warm = f", {counted(found.warmups, 'warm-up request')}" if found.warmups else ""
        app.say(bar, f"{found.path}: {found.size / 1e6:.1f} MB, differs from the model by "
                f"{found.difference:.1g} at most{warm}")  # fmt: skip
    return app.OK
