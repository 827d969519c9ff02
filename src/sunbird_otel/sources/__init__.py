"""Where telemetry comes from: each module turns one kind of input into documents with a position."""

from sunbird_otel.sources.files import Document, read, size

__all__ = ["Document", "read", "size"]
