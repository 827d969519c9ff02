"""Real backends for tests: the OpenTelemetry Collector and Jaeger, built from their sources, started and asked."""
