"""The parameters of strategies: read from a function or a class, and values for them."""

from __future__ import annotations

import dataclasses
import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mdkit.errors import SettingsError


class Parameter(NamedTuple):
    """One keyword of a strategy. `annotation` is whatever the source says, or empty."""

    default: Any
    annotation: Any = inspect.Parameter.empty


def parameters_of(function: Callable[..., Any], name: str) -> dict[str, Parameter]:
    """Return what a function takes behind its event; raise `SettingsError` without a default."""
    try:
        declared = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise SettingsError(f"the parameters of {name} cannot be read; wrap it in a def") from None
    if not declared or declared[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise SettingsError(f"strategy {name} must take the event as its first argument")
    parameters = {}
    for parameter in declared[1:]:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        if parameter.default is inspect.Parameter.empty:
            raise _no_default(name, parameter.name)
        parameters[parameter.name] = Parameter(parameter.default, parameter.annotation)
    return parameters


def field_parameters(cls: Any, name: str) -> dict[str, Parameter]:
    """Return the fields of a dataclass; raise `SettingsError` for one without a default."""
    parameters = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            raise _no_default(name, field.name)
        parameters[field.name] = Parameter(default, field.type)
    return parameters


def checked_values(
    name: str, parameters: Mapping[str, Parameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `given` with every value checked and put into its parameter's type."""
    checked = {}
    for key, value in given.items():
        if key not in parameters:
            listed = f"it has {shown_defaults(parameters)}" if parameters else "it has none"
            raise SettingsError(f"strategy {name} has no parameter {key!r}; {listed}")
        fitted, expected = _fit(value, parameters[key])
        if expected:
            raise SettingsError(
                f"strategy {name}: {key} is {value!r}; expected {expected}. "
                f"Its parameters are {shown_defaults(parameters)}"
            )
        checked[key] = fitted
    return checked


def shown_defaults(parameters: Mapping[str, Parameter]) -> str:
    """Return parameters and their defaults as they would be written in a call."""
    return listing({name: parameter.default for name, parameter in parameters.items()})


def listing(values: Mapping[str, Any]) -> str:
    """Return values by name as they would be written in a call."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type, so that 1 and 1.0 and True are three."""
    return one is other or (type(one) is type(other) and bool(one == other))


def _fit(value: Any, parameter: Parameter) -> tuple[Any, str]:
    """Return the value to use and an empty string, or what was expected in place of it.

    Only what a default or a plain annotation makes certain is checked. NumPy scalars, as a
    sweep over an array gives, become Python numbers so that every engine computes alike.
    """
    default, annotation = parameter
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if same_value(value, default):
        return value, ""
    if isinstance(default, bool):
        return value, "" if isinstance(value, bool) else "True or False"
    if isinstance(default, numbers.Real):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or value != value:
            return value, "a number"
        if annotation in (int, "int"):
            return value, "" if isinstance(value, int) else "a whole number"
        if annotation in (float, "float"):
            return float(value), ""
    elif isinstance(default, str) and not isinstance(value, str) and annotation in (str, "str"):
        return value, "a string"
    return value, ""


def _no_default(name: str, parameter: str) -> SettingsError:
    return SettingsError(
        f"strategy {name}: parameter {parameter} has no default; give it one, since a strategy "
        "must run as it is and a sweep starts from the defaults"
    )
