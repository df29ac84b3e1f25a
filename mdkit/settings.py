"""Settings: the environment's variables, their defaults, and one clear sentence when wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mdkit.errors import AuthenticationError, SettingsError
from mdkit.redaction import Secret, hide, hide_address

_KEY = "tickdb_api_key"
_KEY_HELP = (
    "Set the environment variable TICKDB_API_KEY (or pass api_key=...); "
    'without a key, source="demo" runs on the embedded exchange.'
)


class Settings(BaseSettings):
    """How to reach the data service and how large the pipeline is.

    Every field can be set by the environment variable of the same name in capitals, and
    overridden in code: `Settings(worker_count=2)`. Durations are in seconds. A wrong value
    raises `SettingsError`, which names the variable, the value and what would be accepted.

    Example:
        >>> md.Settings(worker_count=2, max_queue_depth=500).worker_count
        2
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    tickdb_ws_url: str = "wss://api.tickdb.ai/v1/realtime"
    tickdb_rest_url: str = "https://api.tickdb.ai/v1"
    tickdb_api_key: SecretStr | None = None
    max_queue_depth: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000
    worker_count: Annotated[int, Field(ge=1, le=1024)] = 4
    reconnect_base_delay: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 1.0
    reconnect_max_delay: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 60.0
    heartbeat_interval: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0
    subscribed_symbols: Annotated[tuple[str, ...], NoDecode] = (
        "AAPL.US",
        "MSFT.US",
        "GOOGL.US",
        "AMZN.US",
        "NVDA.US",
    )
    spill_quota_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    rest_calls_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 30
    dask_plain_key: bool = False
    """Whether a key may go to Dask workers on other machines over connections in clear."""

    def __init__(self, **overrides: Any) -> None:
        overrides |= {name: hide_address(overrides[name]) for name in overrides}
        overrides |= {name: hide(overrides[name]) for name in overrides if name == _KEY}
        try:
            super().__init__(**overrides)
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from None

    @field_validator("subscribed_symbols", mode="before")
    @classmethod
    def _split_symbols(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.split(",")
        elif not isinstance(value, Iterable):
            value = ()
        symbols = tuple(dict.fromkeys(str(symbol).strip() for symbol in value))
        if not all(symbols) or not symbols:
            raise ValueError("expected symbols separated by commas, such as AAPL.US,MSFT.US")
        return symbols

    @field_validator("tickdb_ws_url")
    @classmethod
    def _is_ws_url(cls, value: str) -> str:
        if not value.startswith(("ws://", "wss://")):
            raise ValueError("expected a URL that begins with ws:// or wss://")
        return value

    @field_validator("tickdb_rest_url")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("expected a URL that begins with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _delays_in_order(self) -> Settings:
        if self.reconnect_max_delay < self.reconnect_base_delay:
            raise ValueError(
                f"RECONNECT_MAX_DELAY ({self.reconnect_max_delay:g} s) is below "
                f"RECONNECT_BASE_DELAY ({self.reconnect_base_delay:g} s); raise the first "
                "or lower the second"
            )
        return self

    def require_key(self) -> Secret:
        """Return the API key in clear, or raise `AuthenticationError` saying how to set it."""
        if self.tickdb_api_key is None:
            raise AuthenticationError(f"The data service needs an API key. {_KEY_HELP}")
        return Secret(self.tickdb_api_key.get_secret_value())


def _sentence(error: ValidationError) -> str:
    """Turn pydantic's report into one sentence a user can act on, without a key's value."""
    parts = []
    for problem in error.errors(include_url=False):
        name = "_".join(str(part) for part in problem["loc"]).upper()
        told = problem["msg"].removeprefix("Value error, ")
        told = told[0].lower() + told[1:] if name else told
        if problem["type"] == "extra_forbidden":
            known = ", ".join(sorted(Settings.model_fields))
            parts.append(f"{name.lower()} is not a setting; the settings are {known}")
        elif not name:
            parts.append(told)
        elif name == "TICKDB_API_KEY":
            parts.append(f"{name} is not usable: {told}")
        else:
            given = problem["input"]
            if name.endswith("_URL") and isinstance(given, str):
                given = given.partition("?")[0]  # what is in a query could be a key
            parts.append(f"{name}={given!r} is not usable: {told}")
    return "; ".join(parts) + "."
