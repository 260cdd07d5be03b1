"""Every public name of PyTorch: which are here, which are missing, and which are out of scope."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any, NamedTuple

import tinygrad_like as ours
from tests.spelled import find

SPACES = (
    *("", "Tensor", "nn.functional", "linalg", "special", "signal.windows", "autograd"),
    *(
        "autograd.functional",
        "autograd.graph",
        "autograd.forward_ad",
        "func",
        "nn",
        "nn.init",
        "nn.utils",
        "optim",
    ),
    *("optim.lr_scheduler", "utils.data", "utils.checkpoint", "random"),
)


class Group(NamedTuple):
    """Names that are left out, and why. A pattern matches what stands after the space's dot."""

    title: str
    reason: str
    pattern: str


OUT_OF_SCOPE = (
    Group(
        "Complex numbers",
        "every tensor here is real",
        r".*[cC]omplex.*|cdouble|cfloat|chalf|angle|imag|polar|conj_physical_?|is_neg"
        r"|resolve_neg|view_as_real(_copy)?",
    ),
    Group(
        "Sparse and nested tensors",
        "every tensor here is dense",
        r".*[sS]parse.*|(c?col|crow|c?row)_indices(_copy)?|(indices|values)(_copy)?|coalesce"
        r"|is_coalesced|to_dense|dense_dim|hs[mp]+m|[ds]smm|smm|s?s?p?addmm|spmm|jagged|is_nested"
        r"|to_padded_tensor",
    ),
    Group(
        "Quantised numbers",
        "every number is what it says",
        r".*quantize.*|.*_fake_quant.*|q_.*|qu?int\d.*|quint.*|qscheme|per_(tensor|channel)_.*"
        r"|int_repr|fbgemm_.*|choose_qparams_.*|Q.*Storage|scaled(_grouped)?_mm|ScalingType"
        r"|SwizzleType|grouped_mm",
    ),
    Group(
        "Other devices, and the libraries of their makers",
        "there is the CPU, and NumPy",
        r".*(cudnn|miopen|mkldnn|cuda|xpu|xla|vulkan|cupti|accelerate).*|(is_)?(ipu|maia|mps|mtia)"
        r"|.*_(ipu|mps)_.*|Stream|Event|.*_stream.*|get_device(_module)?|has_.*|OutOfMemoryError"
        r"|AcceleratorError|CrossMapLRN2d|set_flush_denormal|.*float32_matmul_precision"
        r"|.*memory_format|channels_last.*|legacy_contiguous_format|const_data_ptr|dim_order",
    ),
    Group(
        "Compiling, scripting and tracing",
        "programs run as they are written",
        r"compile|cond|while_loop|vmap_.*|.*Script.*|.*Type|.*IR.*|import_ir.*|parse_.*|Sym.*"
        r"|sym_.*|unify_.*|merge_type.*|Graph.*|.*Execut.*|Code|Block|Node|Use|Value|Argument.*"
        r"|AliasDb|.*Arguments|.*DispatchKey.*|Static.*|Capsule|CallStack|CompilationUnit|.*State"
        r"|FileCheck|FunctionSchema|Gradient|IODescriptor|.*Logger.*|OperatorInfo|ErrorReport"
        r"|JITException|FatalError|DeepCopyMemoTable|Future|ModuleDict|ParameterDict|BufferDict"
        r"|Benchmark.*|Throughput.*|.*Context|Tag|Type|CompleteArgumentSpec|.*Builder|fork|wait"
        r"|functionalize|debug_unwrap|as_subclass|DisableTorch.*|typename|handle_torch_.*"
        r"|has_torch_.*|is_tensor_like|boolean_dispatch|assert_int_or_pair|BroadcastingList\d"
        r"|AVG|SUM|AggregationType|PyTorchFile.*|.*_dlpack|.*(warn_always|_grad_layout_policy)"
        r"|classproperty|rearrange|overload|cast|set_override.*|init_num_threads|.*activation_memory.*"
        r"|USE_.*|PRIVATE_OPS|get_file_path|thread_safe_generator|prepare_multi.*|compiled_with.*",
    ),
    Group(
        "Copying forms of views, for compilers",
        "views are views, and `.clone()` copies",
        r".*_copy|slice_inverse|unsafe_.*|narrow_copy",
    ),
    Group(
        "Element types that NumPy has not",
        "their arithmetic would have to be made up",
        r"bfloat16|BFloat16.*|float[48]_.*|bits\d.*|bit|u?int[1-7]",
    ),
    Group(
        "Mixed precision by itself",
        "it speeds up devices that are out of scope",
        r".*autocast.*|GradScaler",
    ),
    Group(
        "Work on several machines or processes",
        "a program is one process with threads",
        r".*[dD]istributed.*|SyncBatchNorm|DataParallel",
    ),
    Group(
        "Fourier transforms and what stands on them",
        "they are complex",
        r"i?stft|.*spectral",
    ),
    Group(
        "Inner halves of functions that are here",
        "nobody writes them",
        r"native_.*|batch_norm_.*|.*_backward.*|affine_grid_generator|grid_sampler.*|convolution"
        r"|constant_pad_nd|conv_tbc|norm_except_dim|(gru|lstm|rnn_relu|rnn_tanh)(_cell)?"
        r"|embedding_renorm_|hash_tensor|module_load|NestedIOFunction|empty_permuted"
        r"|(feature_)?(alpha_)?dropout_|feature_dropout|SavedTensor|factory_kwargs",
    ),
    Group(
        "Storages",
        "a tensor is a NumPy array",
        r".*Storage(Base)?|Storage|.*storage.*|set_|is_set_to|resize(_as)?_?|from_file|volatile",
    ),
    Group(
        "Data pipes",
        "PyTorch itself gave them up",
        r".*(DataPipe|data_?pipe|runtime_validation|DataChunk|argument_validation).*"
        r"|non_deterministic",
    ),
    Group(
        "What PyTorch keeps only to raise or to warn",
        "there is nothing to mimic",
        r"eig|symeig|lstsq|solve|matrix_rank|Container|NLLLoss2d|clip_grad_norm|reinforce|name"
        r"|set_default_tensor_type|.*_notes|GRID_SAMPLE_.*|Tensor",
    ),
)


def public(space: str, package: Any) -> list[str]:
    """Return the names a module of PyTorch offers, as far as they are its own."""
    home = find(package, space)
    names = set(getattr(home, "__all__", ())) | (
        set(dir(home)) if space in ("", "Tensor", "nn.functional", "linalg", "nn") else set()
    )
    if not names:
        names = set(dir(home))
    return sorted(n for n in names if not n.startswith("_") and _own(home, n))


def _own(home: Any, name: str) -> bool:
    value = inspect.getattr_static(home, name, None)
    if value is None or isinstance(value, ModuleType | bool | str):
        return False
    origin = getattr(value, "__module__", None) or "torch"
    return origin.startswith("torch") or inspect.isroutine(value)


def absent(package: Any) -> dict[str, list[str]]:
    """Return the names that are not here, by their space."""
    found = {}
    for space in SPACES:
        home = find(ours, space)
        found[space] = [n for n in public(space, package) if not hasattr(home, n)]
    return found


def classified(package: Any) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what is missing, by space, and what is out of scope, by the title of its group."""
    missing: dict[str, list[str]] = {}
    outside: dict[str, list[str]] = {}
    for space, names in absent(package).items():
        for name in names:
            path = f"{space}.{name}".lstrip(".")
            for group in OUT_OF_SCOPE:
                if re.fullmatch(group.pattern, name):
                    outside.setdefault(group.title, []).append(path)
                    break
            else:
                missing.setdefault(space, []).append(name)
    return missing, outside
