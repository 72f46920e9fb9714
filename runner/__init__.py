"""The phases: from options to files."""
