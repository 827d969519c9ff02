"""Signals as OTLP: the encoders, the file sink, and the network sink with its transports.

In reading order: :mod:`.encode` and :mod:`.json` (records to bytes), :mod:`.request` (one export request),
:mod:`.batch` (how many signals make one), :mod:`.files`; then :mod:`.settings`, :mod:`.transport` with
:mod:`.over_http` and :mod:`.over_grpc`, :mod:`.delivery`, :mod:`.undelivered`, :mod:`.network`.
"""
