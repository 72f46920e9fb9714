"""The same work as a research codebase does it: straightforward, checked to give the same answers, slow."""
