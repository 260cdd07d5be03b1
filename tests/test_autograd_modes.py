"""`no_grad` and its kin: as context managers, as decorators, nested, and over generators."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_like as ours
from tinygrad_like.modes import departed

X = ours.ones(2, requires_grad=True)


def recorded() -> bool:
    return (X * 2).requires_grad


@pytest.fixture(autouse=True)
def _default_mode_at_the_end() -> Any:
    yield
    assert ours.is_grad_enabled()
    assert not ours.is_inference_mode_enabled()
    assert departed.count == 0


def test_context_managers_nest() -> None:
    with ours.no_grad():
        assert not recorded()
        with ours.enable_grad():
            assert recorded()
            with ours.set_grad_enabled(False):
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_one_object_may_be_entered_again() -> None:
    mode = ours.no_grad()
    with mode, mode:
        with mode:
            assert not recorded()
        assert not recorded()
    assert recorded()
    with mode:
        assert not recorded()


def test_an_exception_leaves_the_mode() -> None:
    with pytest.raises(KeyError), ours.no_grad():
        raise KeyError
    assert recorded()


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        (ours.no_grad, False),
        (ours.no_grad(), False),
        (ours.enable_grad, True),
        (ours.enable_grad(), True),
        (ours.inference_mode, False),
        (ours.inference_mode(), False),
        (ours.inference_mode(False), True),
    ],
)
def test_decorators(decorator: Any, expected: bool) -> None:
    @decorator
    def own(a: int, b: int = 2) -> tuple[bool, int]:
        """Doc."""
        return recorded(), a + b

    assert own(1, b=4) == (expected, 5)
    assert own.__name__ == "own"
    assert own.__doc__ == "Doc."
    with ours.no_grad():
        assert own(1)[0] == expected
    assert recorded()


def test_a_decorated_function_may_call_itself() -> None:
    @ours.no_grad()
    def down(n: int) -> bool:
        return recorded() if n == 0 else down(n - 1)

    assert not down(3)


def test_set_grad_enabled_is_a_function_too() -> None:
    ours.set_grad_enabled(False)
    assert not recorded()
    ours.set_grad_enabled(True)
    assert recorded()


def test_set_grad_enabled_decorates() -> None:
    @ours.set_grad_enabled(False)
    def own() -> bool:
        return recorded()

    assert recorded()
    assert not own()


def test_generators_keep_their_mode_to_themselves() -> None:
    log = []

    @ours.no_grad()
    def own() -> Any:
        try:
            sent = yield recorded()
            log.append((sent, recorded()))
            try:
                yield 1
            except ValueError:
                log.append(recorded())
            yield 2
            return 3
        finally:
            log.append(recorded())

    def outer() -> Any:
        log.append((yield from own()))

    generator = outer()
    assert next(generator) is False
    assert recorded()
    assert generator.send("sent") == 1
    assert recorded()
    assert generator.throw(ValueError) == 2
    assert list(generator) == []
    assert log == [("sent", False), False, False, 3]
    log.clear()
    generator = own()
    next(generator)
    generator.close()
    assert log == [False]


def test_decorating_a_class_warns() -> None:
    class Own:
        pass

    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):
        ours.no_grad()(Own)


# ----- Inference mode -----------------------------------------------------------------------------


def test_inference_tensors_stay_out_of_graphs() -> None:
    with ours.inference_mode():
        made = X * 2
        assert ours.is_inference_mode_enabled()
        assert made.is_inference()
        assert ours.ones(2).is_inference()
        assert not X.view(-1).is_inference()
        assert not X.detach().is_inference()
        made.add_(1)
        with ours.enable_grad():
            assert not recorded()
    assert not X.is_inference()
    with pytest.raises(RuntimeError, match="cannot be saved for backward"):
        X * made
    with pytest.raises(RuntimeError, match="inference tensor outside InferenceMode"):
        made.add_(1)
    with pytest.raises(RuntimeError, match="inference tensor outside InferenceMode"):
        made.requires_grad_()
    assert (X + made).requires_grad  # saves nothing
    assert not (ours.ones(2) * made).requires_grad
    assert not made.clone().is_inference()
    assert (X * made.clone()).requires_grad
    del made


def test_inference_mode_false_is_the_default_mode() -> None:
    with ours.inference_mode():
        with ours.inference_mode(False):
            assert recorded()
            assert not ours.is_inference_mode_enabled()
        assert ours.is_inference_mode_enabled()
