"""What makes a training the one that its directory holds."""

import dataclasses
import json
import zlib

from tf_style.errors import UserError
from tf_style.option_groups import TrainConfig

__all__ = ["check_options", "check_surroundings", "fingerprint"]

# What may change between sittings without making it another run.
FREE = {
    "checkpoint", "overwrite", "save_iter", "log_iter", "preview_iter", "content_path",
    "style_path", "val_content_path", "val_style_path", "allow_changed_data", "skip_missing",
    "progress_gif", "device", "deterministic", "steps_per_call", "profile",
}  # fmt: skip


def check_options(before: dict, config: TrainConfig) -> None:
    """Refuse to go on with other options than those that the run began with.

    Args:
        before: What the directory's `config.json` says of the training. An option that it lacks is
            younger than the run, which has the default instead.
        config: What is asked for now.

    Raises:
        UserError: An option that makes it another run, or a model that has no training.
    """
    if not before:
        raise UserError(
            f"{config.checkpoint} has a model without its training, which cannot be resumed: give "
            f"another --checkpoint, and --start-from {config.checkpoint} for its weights."
        )
    before = {field.name: field.default for field in dataclasses.fields(config)} | before
    free = set(FREE)
    if config.lr_schedule == "inverse":
        free.add("max_iter")  # No step depends on it, so a run may be made longer.
    for name, value in dataclasses.asdict(config).items():
        old, new = (list(x) if isinstance(x, tuple) else x for x in (before[name], value))
        if name not in free and old != new:
            raise UserError(
                f"The run in {config.checkpoint} has {name}={old!r}, not {new!r}: give "
                "the same options, another --checkpoint, or --overwrite to begin anew."
            )


def check_surroundings(old: dict, new: dict) -> list[str]:
    """Refuse to go on with other weights or pictures than those that the run began with.

    Args:
        old: The directory's `config.json`.
        new: What it would be, had the run begun now.

    Returns:
        Sentences on what changed and may.

    Raises:
        UserError: What changed makes it another run.
    """
    where = new["training"]["checkpoint"]
    digests = [x["model"].get("encoder_sha256", "") for x in (old, new)]
    if digests[0] != digests[1]:
        raise UserError(
            f"The run in {where} began with other encoder weights: SHA-256 {digests[0][:12]}..., "
            f"now {digests[1][:12]}..."
        )
    known = old.get("data", {}).get("digests", {})
    changed = [name for name, x in new["data"]["digests"].items() if known.get(name, x) != x]
    allowed = new["training"]["allow_changed_data"] or new["training"]["skip_missing"]
    if changed and not allowed:
        raise UserError(
            f"The {' and '.join(changed)} pictures are not those that the run in {where} began "
            "with; restore them, or go on with --allow-changed-data."
        )
    sentences = [f"the {name} pictures have changed" for name in changed]
    versions = old.get("versions", {})
    sentences += [
        f"{name} was {versions[name]} and is now {value}: the run goes on, but not bit for bit "
        "as it would have"
        for name, value in new["versions"].items()
        if versions.get(name, value) != value
    ]
    return sentences


def fingerprint(step: int, record: dict) -> int:
    """A number that differs where workers are about to train something else than one another.

    Args:
        step: Where a worker would go on.
        record: What it would write as `config.json`.

    Example:
        >>> record = {"training": {"seed": 0, "device": "gpu:1"}, "data": {}}
        >>> other = {"training": {"seed": 0, "device": "gpu:2"}, "data": {}}
        >>> fingerprint(7, record) == fingerprint(7, other) != fingerprint(8, record)
        True
    """
    options = {k: v for k, v in record["training"].items() if k not in FREE}
    return zlib.crc32(json.dumps([step, options, record["data"]]).encode())
