"""Signals as OTLP: the encoders, the file sink, and the network sink with its transports.

In reading order: :mod:`.written` with :mod:`.encode` and :mod:`.json` (signals as bytes), :mod:`.batch` (how many make
one request), :mod:`.request` (one export request), :mod:`.files`; then :mod:`.settings`, :mod:`.transport` with
:mod:`.over_http` and :mod:`.over_grpc`, :mod:`.delivery`, :mod:`.undelivered`, :mod:`.network`.
"""
