"""Count data: what a network is fed, with labels, ids and the length of a time step.

File schema, version 1: an .npz of plain arrays
-----------------------------------------------
===================  =====================================================================================
``input``            (time, batch, ...) unsigned int; events per step
``label``            (batch,) int64; class of each sample; may be missing
``sample_id``        (batch,) int64 or str; none twice; may be missing, then 0..batch - 1
``dt_s``             float64; seconds per time step
``layout``           str; names of the axes of ``input``, such as "time,batch,channel"
``schema_version``   int64; 1
===================  =====================================================================================
"""

from neurodeploy.events.counts import Data, data
from neurodeploy.events.encoders import encode_delta, encode_frames, encode_latency, encode_rate
from neurodeploy.events.files import load_data, save_data
from neurodeploy.events.split import split_stratified

__all__ = [
    "Data",
    "data",
    "encode_delta",
    "encode_frames",
    "encode_latency",
    "encode_rate",
    "load_data",
    "save_data",
    "split_stratified",
]
