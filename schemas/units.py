"""What a unit of time is worth in another. A record's times are nanoseconds since the epoch, UTC."""

from __future__ import annotations

from typing import Final

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
NS_PER_HOUR: Final = 3_600 * NS_PER_SECOND
NS_PER_DAY: Final = 24 * NS_PER_HOUR
US_PER_SECOND: Final = 1_000_000
MS_PER_SECOND: Final = 1_000
MS_PER_DAY: Final = 24 * 3600 * 1000
