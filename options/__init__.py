"""Command-line options: one typed object, parsed once at the entry point."""

from options.options import Options
from options.parser import parse_options

__all__ = ["Options", "parse_options"]
