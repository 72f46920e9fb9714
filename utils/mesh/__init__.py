"""The mesh hierarchy: neighbourhood order, spirals, decimation and up-sampling; and meshes bent to points."""
