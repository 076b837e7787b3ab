"""What an export needs, told by names alone, without TensorFlow."""

from pathlib import Path

from tf_style import checkpoint
from tf_style.errors import UserError
from tf_style.export.config import BESIDE, SUFFIXES, ExportConfig
from tf_style.images.writing import check_place

__all__ = ["check_export"]


def check_export(config: ExportConfig) -> None:
    """Refuse an export of a model that is not there, or to where something else is.

    Args:
        config: All options of the export.

    Raises:
        UserError: It says which.
    """
    if not config.export_path:
        raise UserError("`export_path` is needed: the folder of the model's versions, or the file.")
    checkpoint.read_config(checkpoint.directory_of(config.checkpoint))
    if suffix := SUFFIXES[config.export_format]:
        for file in (suffix, *BESIDE.get(config.export_format, ())):
            check_place(Path(config.export_path).with_suffix(file), config.overwrite)
    else:
        check_place(Path(config.export_path) / "version", overwrite=True)
