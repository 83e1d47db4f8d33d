"""The KServe predictor of provender's models: entity keys in, online features looked up, predictions out."""
