"""Models on a cluster: KServe's InferenceService."""
