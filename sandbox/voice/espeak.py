"""espeak-ng 1.52 as a Python function.

GPL-3: the library is loaded into the process that imports this module, so only the sandbox's own processes may.
"""

import numpy as np
import numpy.typing as npt


def speak(text: str, rate: int = 8000, voice: str = "cmn", speed: int = 200, pitch: int = 50) -> npt.NDArray[np.int16]:
    """`text` spoken: int16 mono at `rate`. `voice` is an espeak voice with an optional variant (`cmn+f2`);
    `speed` in words a minute (80-450), `pitch` 0-99. Text without anything to say gives an empty array."""
    raise NotImplementedError
