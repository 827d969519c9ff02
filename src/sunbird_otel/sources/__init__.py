"""Where telemetry comes from: each module turns one kind of input into documents with a position."""
