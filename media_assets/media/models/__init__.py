"""Models that say something of frames: how one is described, shown frames, asked and understood.

`protocol.py` is what a plug-in is; `description.py` its sidecar file; `fitting.py` how a frame is shown to it and how
its boxes come back; `classification.py` and `detection.py` what its numbers mean; `onnx_runtime.py` the plug-in for
ONNX files; `labelling.py` all of it over a few frames, in a worker. Not here: files, or what becomes of predictions.
"""
