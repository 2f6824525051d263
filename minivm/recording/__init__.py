"""A recording: one file with all that is needed to do a run again, bit for bit.

`format.py` says what stands in the file, `recorder.py` writes it, `reading.py` reads it, `replaying.py` does the run
again; `images.py` knows the files that a machine is made of.
"""

from minivm.recording.format import MAGIC, Check, End, Head, Image
from minivm.recording.reading import Recording
from minivm.recording.recorder import CHECK_REST, CHECK_TICKS, Recorder, recording
from minivm.recording.replaying import Replay, Verdict, replay

SUFFIX = ".mvr"

__all__ = [
    "CHECK_REST",
    "CHECK_TICKS",
    "MAGIC",
    "SUFFIX",
    "Check",
    "End",
    "Head",
    "Image",
    "Recorder",
    "Recording",
    "Replay",
    "Verdict",
    "recording",
    "replay",
]
