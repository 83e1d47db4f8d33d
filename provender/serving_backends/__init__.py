"""Where models are served: the interface, KServe, this machine."""
