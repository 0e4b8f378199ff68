"""The browser of the tests of receipts, for the tests of pages."""

from ccgi_pipeline_tests.verification.conftest import browser

__all__ = ["browser"]
