"""What an archive may unpack to, wherever it is unpacked: on disk, or in place member by member."""

from dataclasses import dataclass

from hemadata.errors import LayoutError


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may unpack to. A picture set is far below; a bomb is far above.

    Args:
        files: members.
        size: bytes.
        ratio: unpacked bytes per packed byte; flat masks in BMP pack best, at about 100.
        free: bytes that do not count for the ratio.
    """

    files: int = 2_000_000
    size: int = 256 << 30
    ratio: int = 250
    free: int = 64 << 20

    def of(self, packed: int) -> int:
        """Bytes that an archive of that size may unpack to."""
        return min(self.size, max(self.free, self.ratio * packed))


def too_much(archive: str, found: str, allowed: str) -> LayoutError:
    """The error of an archive that unpacks to more than it may."""
    return LayoutError(
        f"{archive}: {found}; at most {allowed} are unpacked from an archive of its size. If it is the published "
        "one, unpack it by hand."
    )
