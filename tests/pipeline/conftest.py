"""A sandbox on a port of its own, its bill, and tables made for a test."""

from tests.pipeline.desk import desk, make_service, service

__all__ = ["desk", "make_service", "service"]
