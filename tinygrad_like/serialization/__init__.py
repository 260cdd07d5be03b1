"""Files in PyTorch's format, written and read without PyTorch.

A ``.pt`` file has two layers. The outer one is a zip archive that isn't compressed (`archive.py`); any
program for such archives shows what is in one saved as ``model.pt``:

=============================== ==================================================================
``model/data.pkl``              the object as a pickle: everything but the tensors' numbers
``model/.format_version``       ``1``: storages come in the order of their numbers
``model/.storage_alignment``    ``64``: the data of each record starts at a multiple of 64 bytes
``model/byteorder``             ``little`` or ``big``
``model/data/0``, ``1``, ...    storages: the bytes of numbers, as they lie in memory
``model/version``               ``3``: of the archive
``model/.data/serialization_id``  40 digits that identify the content
=============================== ==================================================================

The inner layer is the pickle. A tensor is there as a call: ``torch._utils._rebuild_tensor_v2`` of a storage,
the place of its first element, its size, its strides (counted in elements), whether it requires a gradient,
and an empty OrderedDict. A storage is there as a *persistent id*, ``("storage", torch.FloatStorage, "0",
"cpu", 12)``: its type, the number of its record, the device it was on, and how many elements it has. So two
tensors of one storage share it again.

>>> import io, pickletools, zipfile
>>> import tinygrad_like as torch
>>> file = io.BytesIO()
>>> torch.save(torch.arange(6.0)[2:], file)
>>> archive = zipfile.ZipFile(file)
>>> archive.read("archive/data/0") == torch.arange(6.0).numpy().tobytes()
True
>>> pickle = archive.read("archive/data.pkl")
>>> [argument for code, argument, _ in pickletools.genops(pickle) if argument is not None]
[2, 'torch._utils _rebuild_tensor_v2', 0, 'storage', 1, 'torch FloatStorage', 2, '0', 3, 'cpu', 4, 6, 5, 2, 4, 6, 1, 7, 'collections OrderedDict', 8, 9, 10, 11]

A pickle is a program, and Python's own reader runs whatever it says. `load` uses an interpreter of its own
(`unpickler.py`) that knows a short list of names (`rebuild.py`) and refuses every other, unless told
``weights_only=False``. Sizes, strides and places are checked against the storages, and these against the
archive, so that a damaged or hostile file ends in an error.
"""

from tinygrad_like.serialization.files import (
    get_crc32_options,
    get_unsafe_globals_in_checkpoint,
    load,
    save,
    set_crc32_options,
)
from tinygrad_like.serialization.storage import TypedStorage, UntypedStorage
from tinygrad_like.serialization.unpickler import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)

__all__ = [
    "TypedStorage",
    "UntypedStorage",
    "add_safe_globals",
    "clear_safe_globals",
    "get_crc32_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
    "set_crc32_options",
]
