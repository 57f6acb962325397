"""Books at the ends of what integers hold: sparse, drifting, of tiny ticks and huge sizes, all from a seed."""

from random import Random

from schemas.messages import ContractKind, Coverage, L2Record
from tests.processors.generated import GRIDS, Producer

EXTREME_GRIDS = (
    *GRIDS,
    ("0.00000001", "1", "1", ContractKind.SPOT),
    ("0.00000001", "0.00000001", "1", ContractKind.SPOT),
    ("5", "1000", "10", ContractKind.LINEAR),
    ("0.01", "1", "10", ContractKind.INVERSE),
    ("0.12345678901234567891", "1", "1", ContractKind.SPOT),
)


def extreme(seed: int, count: int = 150) -> list[L2Record]:
    """One instrument's records. The price drifts; sizes may be so large that no sum of them is an int64."""
    random = Random(seed)
    producer = Producer(
        random,
        centre=random.choice((10, 4_000, 618_000, 10**8, 10**15)),
        reach=random.choice((8, 300, 70_000, 10**7)),
        largest=random.choice((500, 10**6, 10**12, 2**53 + 1, 2**61, 2**63 - 1)),
        grid=random.choice(EXTREME_GRIDS),
        wild=random.choice((0.0, 0.02, 0.2)),
        step_ns=random.choice((1_000_000, 60_000_000)),
        coverage=random.choice((None, Coverage.WHOLE, Coverage.RANGE, Coverage.TOP_N)),
        quotes=random.choice((0.0, 0.97, 1.0)),
    )
    producer.tape, producer.trading = Random(~seed), (0.5, 0.0)[seed % 2]
    drift = random.choice((0, 1, producer.reach // 3 + 1))
    records = []
    for _ in range(count):
        producer.centre = max(3, producer.centre + random.choice((-1, 0, 1, 1)) * drift)
        records.append(producer.next())
    return records
