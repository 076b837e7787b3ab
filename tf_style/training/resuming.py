"""What makes a training the one that its directory holds."""

import json
import zlib

from tf_style.config import decisive, same_run
from tf_style.errors import UserError
from tf_style.training.config import Training

__all__ = ["check_options", "check_surroundings", "fingerprint"]


def check_options(before: dict, config: Training) -> None:
    """Refuse to resume a training with other options than those that it began with.

    Args:
        before: What the directory's `config.json` says of the training.
        config: The options that are asked for now.

    Raises:
        UserError: An option that makes it another run, or a model that has no training.
    """
    if not before:
        raise UserError(
            f"{config.checkpoint} has a model without its training, which cannot be resumed: give "
            f"another --checkpoint, and --start-from {config.checkpoint} for its weights."
        )
    # With the schedule inverse no step depends on it, so a run may be made longer.
    free = ("max_iter",) if config.lr_schedule == "inverse" else ()
    same_run(before, config, config.checkpoint, free)


def check_surroundings(old: dict, new: dict) -> list[str]:
    """Refuse to resume with other weights or pictures than those that the run began with.

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
            "with; restore them, or resume with --allow-changed-data."
        )
    sentences = [f"the {name} pictures have changed" for name in changed]
    versions = old.get("versions", {})
    sentences += [
        f"{name} was {versions[name]} and is now {value}: the run continues, but not bit for bit "
        "as it would have"
        for name, value in new["versions"].items()
        if versions.get(name, value) != value
    ]
    return sentences


def fingerprint(step: int, config: Training, data: dict) -> int:
    """Return a number that tells workers apart that are about to train different things.

    Args:
        step: The step at which a worker would resume.
        config: Its options.
        data: What it would write about its pictures.

    Example:
        >>> from tf_style.training.config import TrainConfig
        >>> config, other = TrainConfig(device="gpu:1"), TrainConfig(device="gpu:2")
        >>> fingerprint(7, config, {}) == fingerprint(7, other, {}) != fingerprint(8, config, {})
        True
    """
    return zlib.crc32(json.dumps([step, decisive(config), data]).encode())
