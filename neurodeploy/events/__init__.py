"""Count data: what a network is fed, with labels, ids and the length of a time step; and single events of a sensor.

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

from neurodeploy.events.blocks import event_blocks
from neurodeploy.events.counts import Data, data
from neurodeploy.events.encoders import encode_delta, encode_frames, encode_latency, encode_rate
from neurodeploy.events.files import head_of, load_data, save_data
from neurodeploy.events.recordings import load_events, save_events
from neurodeploy.events.split import split_stratified
from neurodeploy.events.stream import EVENT, Events, from_raster, moving_edge, single_events, stimulus

__all__ = [
    "EVENT",
    "Data",
    "Events",
    "data",
    "encode_delta",
    "encode_frames",
    "encode_latency",
    "encode_rate",
    "event_blocks",
    "from_raster",
    "head_of",
    "load_data",
    "load_events",
    "moving_edge",
    "save_data",
    "save_events",
    "single_events",
    "split_stratified",
    "stimulus",
]
