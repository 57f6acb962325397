"""Arrays handed to compiled code by their address.

What an array or bytes cost as an argument, some 0.1 and 0.5 µs a call, an integer does not. Whoever gives an address
keeps the array alive, and asks for the address anew where the array is another one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import carray, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from schemas.kernel.compiled import compiled

ENDLESS: Final = 1 << 40
"""Of an array at an address its length is not known: what reads it has to know."""


def address_of(array: NDArray[np.int64]) -> int:
    """Tell where an array begins. It has to be contiguous."""
    assert array.flags.c_contiguous  # noqa: S101 (made by this code)
    return int(array.ctypes.data)


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(_context: Any, address: Any) -> Any:  # noqa: ANN401 (numba's types)
    """Take an integer for where integers are."""
    signature = types.CPointer(types.int64)(address)

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, make


@compiled
def numbers_at(address: int) -> NDArray[np.int64]:
    """Give the array at an address, of no known length."""
    return carray(_pointer(address), (ENDLESS,))  # type: ignore[no-any-return]
