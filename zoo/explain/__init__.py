"""What a granule holds, which predictors tell of soil moisture, and what a model listens to."""
