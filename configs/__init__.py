"""Experiments, one file each: get_config() returns an ExperimentConfig."""
