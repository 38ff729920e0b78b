"""The errors a user can meet: each says what was asked, what was found and what to do.

Every one of them ends a command with exit code 2 and a single message, never a traceback. Anything else that escapes
is a defect of this program and keeps its traceback.
"""


class ConvertError(Exception):
    """Base of all refusals.

    Args:
        asked: what the user wanted, for example ``convert ./gemma``.
        found: what stands in the way, with the name of the file, tensor or field.
        action: what to do about it.
    """

    def __init__(self, asked: str, found: str, action: str) -> None:
        self.asked, self.found, self.action = asked, found, action
        super().__init__(f"{asked}: {found}. {action}")


class CheckpointError(ConvertError):
    """The checkpoint cannot be read, or does not hold what its own config.json promises."""


class LatticeError(CheckpointError):
    """A tensor that should lie on a quantization grid does not."""


class HubError(ConvertError):
    """A hub id that does not exist, or a hub that cannot be reached."""


class PlanError(ConvertError):
    """The request itself cannot be met: context too long, disk too small, target cannot hold the format."""


class ArtifactError(ConvertError):
    """A file that was to be inspected or verified is damaged or of another kind."""
