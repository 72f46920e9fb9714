"""The mesh hierarchy: neighbourhood order, spirals, decimation and up-sampling."""
