"""The one place that leans on private parts of the SDK: how its own configurator sets up exporters.

``_OTelSDKConfigurator`` is private by name, and yet what distributions of OpenTelemetry are told to build on.
"""

from __future__ import annotations

import inspect
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.sdk import _configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from opentelemetry.sdk.trace import SpanProcessor

_OPTION: Final = "export_span_processor"

# The SDK asks since 1.40; 1.39 has to be made to.
_ASKS: Final = (
    _OPTION in inspect.signature(_configuration._initialize_components).parameters  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
)


_CONFIG_FILE: Final = "OTEL_CONFIG_FILE"


def config_file() -> str:
    """Return the declarative configuration that the SDK reads, and then heeds nothing else; empty if there is none."""
    return os.environ.get(_CONFIG_FILE, "") if hasattr(_configuration, _CONFIG_FILE) else ""


class SdkConfigurator(_configuration._OTelSDKConfigurator):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    """The SDK's own way from ``OTEL_*`` variables, or the file that ``OTEL_CONFIG_FILE`` names, to providers."""

    def set_up(self, export_processor: Callable[..., SpanProcessor] | None = None, **options: Any) -> None:
        """Set up the providers.

        Args:
            export_processor: Called with each span exporter, for the processor that is to feed it; None: the SDK's.
            options: The options of the SDK's configurator.
        """
        configure = cast("Callable[..., None]", super()._configure)  # pyright: ignore[reportUnknownMemberType]
        if export_processor is None:
            configure(**options)
        elif _ASKS:
            configure(**options, **{_OPTION: export_processor})
        else:
            with _batch_processor(export_processor):
                configure(**options)


@contextmanager
def _batch_processor(stand_in: Callable[..., SpanProcessor]) -> Generator[None]:
    """Let the SDK's configurator find ``stand_in`` where it looks for the batch processor."""
    name = "BatchSpanProcessor"
    original = getattr(_configuration, name)
    setattr(_configuration, name, stand_in)
    try:
        yield
    finally:
        setattr(_configuration, name, original)
